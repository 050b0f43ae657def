#ifndef MILLRACE_KERNELS_CUDA_PLACE_H
#define MILLRACE_KERNELS_CUDA_PLACE_H

#include "kernels/cuda/device.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Where a device's GPU is. Call it before pinned memory is allocated, which lies near the processor that asks
 * for it: this binds the process to the processors near the GPU that it may use (MILLRACE_NUMA=off does not),
 * and tells in one line which GPU was taken, where it is, and which driver and runtime run.
 */
void place_settle(struct device *device, int n_devices);

/* "GPU 9 is not there: ...": INVALID_ARGUMENT, with what to do about it. */
enum status place_refuse(int index, int n_devices, struct error *error);

#ifdef __cplusplus
}
#endif

#endif
