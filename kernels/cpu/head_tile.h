#ifndef MILLRACE_KERNELS_CPU_HEAD_TILE_H
#define MILLRACE_KERNELS_CPU_HEAD_TILE_H

#include "kernels/cpu/device.h"
#include "kernels/cpu/isa.h"

/* One vocabulary tile of the head. The scan of all rows and the draw of one row both use it, so that both see
 * the same bits. */

static inline int head_tiles(const struct head_scan *op)
{
    return divide_up(op->weight->n_out, VOCABULARY_TILE);
}

/* Rows of x as the head multiplies them: packed (strips.h), of a weight in float32 a[k * a_step + r]. */
struct head_rows {
    const float *a;
    int64_t a_step;
    const bf16_cell *cells; /* of a weight in bfloat16: instead of a */
    int rows;
    const void *next; /* as many panels are prefetched from here on; NULL: none */
    const float
        *unpacked; /* of a weight in bfloat16: the tile's panels as floats; NULL: as the weight has them */
};

/* raw[r, VOCABULARY_TILE] = x[r, :] · w^T for the columns of the tile. In bfloat16 subnormal numbers must
 * count as zeros (flush.h) here and in what follows. */
void ISA(head_multiply)(const struct weight *weight, int tile, const struct head_rows *rows, float *raw);

/* How many panels the tile has, and the number of the first. */
int ISA(head_panels)(const struct weight *weight, int tile, int *first);

/*
 * logits[VOCABULARY_TILE] = (raw + bias) * inverse_temperature of `row`, and -INFINITY where the row's sums
 * leave a column out: its left-out token, and columns after the last. May be in place. The left-out token's
 * logit, when this tile holds it, goes to *left_out.
 */
void ISA(head_logits)(const struct head_scan *op, int tile, int row, const float *raw, float *logits,
                      float *left_out);

/* values[VOCABULARY_TILE] = exp(logits - max); the tile's {max, sum}. */
struct exp_sum ISA(head_exp)(const float *logits, float *values);

#endif
