#ifndef MILLRACE_WORKER_MODEL_SAMPLER_H
#define MILLRACE_WORKER_MODEL_SAMPLER_H

#include "worker/collective/collective.h"
#include "worker/model/inputs.h"
#include "worker/model/meters.h"
#include "worker/model/weights.h"

/*
 * From the output layer's input of the needed rows to their new tokens, without logits.
 *
 * Rows are taken `block_rows` at a time; for each of them a rank keeps the sum of exp of each tile of its
 * vocabulary (8 bytes a tile) and nothing longer. So the memory does not grow with length times vocabulary,
 * and grows with the vocabulary by 1/VOCABULARY_TILE of a logit for the rows of one block. Three rounds:
 *
 *   scan    each rank sums its tiles and groups    → gathered: 8 bytes a group and row, 4 a rank and row
 *   choose  every rank alike decides jump or not, and in which group the new token lies
 *   draw    the group's holder recomputes one tile and draws        → gathered: 8 bytes a rank and row
 *
 * The groups are the same for any number of ranks, and so are all decisions.
 *
 * Everything is enqueued, block after block through the same device memory, and the outcome goes into host
 * memory of the step's slot; nobody waits before sampler_end. The drawn tokens are written into the inputs'
 * texts on the device, too.
 */
enum { SAMPLER_ROWS = 512, SAMPLER_ROWS_GPU = 2048 }; /* of a block: a GPU wants more to do at a time */

/* What became of one needed row. */
struct sampled {
    int32_t token;           /* -1: it keeps its token */
    float log_probability;   /* of the new token under the model; natural */
    double jump_probability; /* 1 in the last step */
};

struct sampler {
    const struct model_weights *weights;
    struct collective *collective;
    struct inputs *inputs;
    struct meters *meters; /* NULL: nobody counts; not owned */
    double seconds;        /* scan, choose and draw since start, waiting for other ranks not counted */
    double flop;
    int block_rows;
    size_t row_bytes;        /* of x */
    struct sampled *sampled; /* host [max_rows], by entry of the plan's needed; what sampler_end fills */
    int *group_bytes, *logit_bytes, *drawn_bytes; /* [n_ranks]: the ranks' parts of the block at hand */
    /* device, [block_rows, ...] */
    struct exp_sum *tiles, *groups_mine, *groups_all;
    float *left_out_mine, *left_out_all;
    int32_t *left_out;
    double *jump_probability;
    struct row_choice *choice;
    struct drawn_token *drawn_mine, *drawn_all;
    /* host memory of the device, of each slot: what its step was left with */
    struct sampler_outcome {
        int n_needed;
        struct row_choice *choice; /* [max_rows] */
        double *jump_probability;  /* [max_rows] */
        struct drawn_token *drawn; /* a block's [n_ranks, rows] after another's */
    } outcomes[STEP_SLOTS];
};

enum status sampler_init(struct sampler *sampler, const struct model_weights *weights,
                         struct collective *collective, struct inputs *inputs, struct error *error);
void sampler_release(struct sampler *sampler);

/* The most that a gather of a sampler of at most so many rows puts together, in floats. */
int64_t sampler_gathered_floats(int n_ranks, int max_rows);

/* Enqueues the sampling of the plan that the inputs hold. x: device [n_needed, D] of the activation type,
 * from forward_run. Allocates nothing. */
void sampler_begin(struct sampler *sampler, int n_needed, const void *x, int slot);
/* After the device has done it: fills sampler->sampled[n_needed]; the same on all ranks. */
void sampler_end(struct sampler *sampler, int slot);

#endif
