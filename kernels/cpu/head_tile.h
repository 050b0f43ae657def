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

/* raw[r, VOCABULARY_TILE] = x[r, :] · w^T for the columns of the tile; a[k * a_step + r] is the packed x.
 * Meanwhile it prefetches as many panels from `next` on; NULL: none. */
void ISA(head_multiply)(const struct weight *weight, int tile, const float *a, int64_t a_step, int rows,
                        const float *next, float *raw);

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
