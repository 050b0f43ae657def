#ifndef MILLRACE_KERNELS_CPU_PANELS_H
#define MILLRACE_KERNELS_CPU_PANELS_H

#include "kernels/cpu/device.h"
#include "kernels/cpu/isa.h"

/*
 * n panels of a weight in bfloat16 as floats, [n][n_k][16], in the scratch of this thread, where that pays:
 * when n_strips strips of rows will meet them, and only then do they cost less than they save. Otherwise, and
 * for any other weight, NULL. Good until the thread's next call.
 */
const float *ISA(panels_unpack)(const struct device *device, const struct weight *weight, int first, int n,
                                int n_strips, int thread);

/* The bytes of one panel. */
static inline int64_t panel_bytes(const struct weight *weight)
{
    static const int element_bytes[] = {[WEIGHT_F32] = 4, [WEIGHT_BF16] = 2, [WEIGHT_I8] = 1};
    return (int64_t)weight->layout.n_k * LANES * element_bytes[weight->layout.format];
}

#endif
