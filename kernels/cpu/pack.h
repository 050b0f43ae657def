#ifndef MILLRACE_KERNELS_CPU_PACK_H
#define MILLRACE_KERNELS_CPU_PACK_H

#include <stdint.h>

#include "kernels/cpu/isa.h"

/* packed[k, r] = x[r, k] for k < n, r < rows; zeros for rows <= r < width. `packed` is [n][width], width <= 16. */
void ISA(pack)(const float *x, int64_t ld_x, int rows, int n, float *packed, int width);

#endif
