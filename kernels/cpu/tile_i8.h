#ifndef MILLRACE_KERNELS_CPU_TILE_I8_H
#define MILLRACE_KERNELS_CPU_TILE_I8_H

#include <stdint.h>

#include "kernels/cpu/isa.h"

/*
 * The innermost loop of products in int8:
 *
 *     out[(r * TILE_PANELS + p) * 16 + j] = Σ_k a[r, k] * b[p, k, j]
 *
 * for r < rows <= I8_ROWS, p < panels <= TILE_PANELS, j < 16. b holds lines of fours: panel p begins at b + p
 * * b_panel, and its element (k, j) is at (k / 4 * 16 + j) * 4 + k % 4. Sums are exact, so their order does
 * not matter: |a|, |b| <= 127 and n_k <= 2^17.
 */
enum { I8_GROUP = 64 };

struct tile_i8 {
    const int16_t *a; /* a[r * a_row + k] */
    const int8_t *b;
    int32_t *out;
    int64_t a_row, b_panel;
    int n_k; /* a multiple of I8_GROUP */
};

void ISA(tile_i8)(const struct tile_i8 *tile, int rows, int panels);

#endif
