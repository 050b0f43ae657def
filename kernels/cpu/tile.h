#ifndef MILLRACE_KERNELS_CPU_TILE_H
#define MILLRACE_KERNELS_CPU_TILE_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/cpu/isa.h"

/*
 * The one innermost loop under every product, attention's and the head's included:
 *
 *     out[r * out_row + p * out_panel + j] = Σ_k a[k * a_step + r] * b[p * b_panel + k * 16 + j]
 *
 * for r < rows <= TILE_ROWS, p < panels <= TILE_PANELS, j < 16. Each sum is one chain of fused
 * multiply-adds from +0 in the order of k, held in a register: its bits depend on nothing but its own row of
 * a and column of b.
 */
struct tile {
    const float *a;
    const float *b;
    float *out;
    const float *next; /* n_k cache lines that will be read soon: asked for, one a step; b where there is
                          nothing to ask for */
    int64_t a_step, b_panel, out_row, out_panel; /* floats */
    int n_k;
    bool accumulate; /* out += the sum instead of out = */
};

void ISA(tile_multiply)(const struct tile *tile, int rows, int panels);

#endif
