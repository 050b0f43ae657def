#ifndef MILLRACE_KERNELS_CUDA_SCRATCH_H
#define MILLRACE_KERNELS_CUDA_SCRATCH_H

#include "kernels/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The most scratch that each operation takes on a device of these options. Each function is defined beside
 * its operation. */
size_t matmul_scratch_bytes(const struct device_options *options, enum precision precision);
size_t attention_scratch_bytes(const struct device_options *options, enum precision precision);
size_t head_draw_scratch_bytes(const struct device_options *options, enum precision precision);

#ifdef __cplusplus
}
#endif

#endif
