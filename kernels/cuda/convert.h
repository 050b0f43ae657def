#ifndef MILLRACE_KERNELS_CUDA_CONVERT_H
#define MILLRACE_KERNELS_CUDA_CONVERT_H

#include "kernels/cuda/device.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Converts `from`[rows, weight->n_in] (device memory, dense, F32, BF16 or F16) to the weight's format and
 * writes it to the weight's rows from `first` on; for E4M3 it also writes each row's scale. Enqueued. */
void convert_rows(struct device *device, const struct weight *weight, int first, int rows, const void *from,
                  enum dtype dtype);

/* Rounds from[n] to the nearest bf16. Enqueued. */
void round_to_bf16(struct device *device, const float *from, int n, void *to);

/* Turns rows of bf16 into e4m3 with one scale for each row: x[i, :] = scale[i] * q[i, :], up to rounding. q's
 * rows are ld_q (a multiple of WEIGHT_ALIGNMENT) apart and hold zeros after `width`. Enqueued. */
void quantise_rows(struct device *device, const void *x, int64_t ld_x, int rows, int width, void *q,
                   int64_t ld_q, float *scale);

#ifdef __cplusplus
}
#endif

#endif
