#ifndef MILLRACE_KERNELS_CPU_PACK_H
#define MILLRACE_KERNELS_CPU_PACK_H

#include <stdint.h>

#include "kernels/cpu/isa.h"

/* A transpose: to[k * ld_to + r] = x[r * ld_x + k] for k < n, r < rows, and zeros for rows <= r < width.
 * Makes the strips and panels that tile_multiply reads, and takes results back out of them. */
void ISA(pack)(const float *x, int64_t ld_x, int rows, int n, float *to, int64_t ld_to, int width);

#endif
