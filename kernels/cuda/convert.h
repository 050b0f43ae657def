#ifndef MILLRACE_KERNELS_CUDA_CONVERT_H
#define MILLRACE_KERNELS_CUDA_CONVERT_H

#include "kernels/cuda/device.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Rows first ... first + rows of the weight become `from`[rows, weight->n_in] (device memory, dense, F32,
 * BF16 or F16), in the weight's format; E4M3 with each row's scale. Enqueued. */
void convert_rows(struct device *device, const struct weight *weight, int first, int rows, const void *from,
                  enum dtype dtype);

/* to[n] as bf16, the nearest. Enqueued. */
void round_to_bf16(struct device *device, const float *from, int n, void *to);

/* Rows of bf16 as e4m3 with a scale each: x[i, :] = scale[i] * q[i, :], up to rounding. q's rows are ld_q (a
 * multiple of WEIGHT_ALIGNMENT) apart, zeros after `width`. Enqueued. */
void quantise_rows(struct device *device, const void *x, int64_t ld_x, int rows, int width, void *q,
                   int64_t ld_q, float *scale);

#ifdef __cplusplus
}
#endif

#endif
