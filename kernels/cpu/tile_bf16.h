#ifndef MILLRACE_KERNELS_CPU_TILE_BF16_H
#define MILLRACE_KERNELS_CPU_TILE_BF16_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/cpu/isa.h"

/*
 * The innermost loop of every product in bfloat16:
 *
 *     out[r * out_row + p * out_panel + j] = Σ_k a[r, k] * b[p, k, j]
 *
 * for r < rows <= BF16_ROWS, p < panels <= TILE_PANELS, j < 16. The numbers are bfloat16's; a holds them as
 * floats (as words for the tile unit), and b holds them as pairs (bf16.h), as a weight keeps them, or as
 * floats.
 *
 * The order of the sum is that of AMX's TDPBF16PS, so that all instruction sets give the same bits. n_k is
 * cut into groups of BF16_GROUP. In a group the products of even k are one chain of fused multiply-adds from
 * +0, in the order of k, and those of odd k are another. The two are added, and the result is added to the
 * sum of the groups before, which begins with +0. Subnormal numbers count as zeros (flush.h); the caller sets
 * that mode. A product of two bfloat16 numbers is exact in float32.
 */
enum { BF16_GROUP = 32 };

struct tile_bf16 {
    const bf16_cell *a;    /* a[r * a_row + k] */
    const uint16_t *pairs; /* panel p begins at p * b_panel; or NULL, and then, but not for the tile unit: */
    const float *lines;    /* [n_k][16], panel p begins at p * b_panel */
    const void *next;      /* of pairs: n_k / 2 cache lines that will be read soon, asked for on the way */
    float *out;
    int64_t a_row, b_panel;     /* elements */
    int64_t out_row, out_panel; /* floats */
    int n_k;                    /* a multiple of BF16_GROUP */
    bool accumulate;            /* out += the sum instead of out = */
};

void ISA(tile_bf16)(const struct tile_bf16 *tile, int rows, int panels);

/* lines[n_k][16] from n_k / 2 lines of pairs */
void ISA(unpack_pairs)(const uint16_t *pairs, int n_k, float *lines);

#endif
