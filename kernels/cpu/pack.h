#ifndef MILLRACE_KERNELS_CPU_PACK_H
#define MILLRACE_KERNELS_CPU_PACK_H

#include <stdint.h>

#include "kernels/cpu/isa.h"

/* Lines of pairs (bf16.h) of x[rows, n], rounded: to[(i * 16 + r) * 2 + j] = x[r * ld_x + 2 i + j], and zeros
 * for rows <= r < 16 and for the rest of the last group of BF16_GROUP columns (tile_bf16.h). */
void ISA(pack_pairs)(const float *x, int64_t ld_x, int rows, int n, uint16_t *to);

/* A transpose: to[k * ld_to + r] = x[r * ld_x + k] for k < n, r < rows, and zeros for rows <= r < width.
 * Makes the strips and panels that tile_multiply reads, and takes results back out of them. */
void ISA(pack)(const float *x, int64_t ld_x, int rows, int n, float *to, int64_t ld_to, int width);

#endif
