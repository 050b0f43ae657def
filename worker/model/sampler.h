#ifndef MILLRACE_WORKER_MODEL_SAMPLER_H
#define MILLRACE_WORKER_MODEL_SAMPLER_H

#include "worker/collective/collective.h"
#include "worker/model/inputs.h"
#include "worker/model/meters.h"
#include "worker/model/weights.h"

/*
 * Turns the output layer's input of the needed rows into their new tokens, without logits.
 *
 * The sampler takes `block_rows` rows at a time. For each of them a rank keeps the sum of exp of each tile of
 * its part of the vocabulary, 8 bytes a tile. So the memory does not grow with length times vocabulary. Three
 * rounds:
 *
 *   scan    each rank sums its tiles and groups          → gathered: 8 bytes a group and row, 4 a rank and
 * row choose  every rank decides alike whether a row jumps, and in which group its new token lies draw    the
 * rank that holds the group recomputes one tile and draws   → gathered: 8 bytes a rank and row
 *
 * The groups are the same for any number of ranks, and so are all decisions.
 *
 * Everything is enqueued. The blocks pass one after another through the same device memory, and the outcome
 * goes to host memory of the step's slot. Nothing waits before sampler_end. The drawn tokens are also written
 * into the texts on the device (inputs.h).
 */
enum { SAMPLER_ROWS = 512, SAMPLER_ROWS_GPU = 2048 }; /* rows of a block; a GPU needs more work at a time */

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
    bool is_timed;         /* as in struct forward */
    double seconds;        /* of scan, choose and draw since start, without the waiting for other ranks */
    double flop;
    int block_rows;
    size_t row_bytes;        /* of x */
    struct sampled *sampled; /* host [max_rows], by entry of the plan's needed; what sampler_end fills */
    int *group_bytes, *logit_bytes, *drawn_bytes; /* [n_ranks]: the ranks' parts of the block at hand */
    /* device, [block_rows, ...] */
    struct exp_sum *tiles, *groups_mine, *groups_all;
    float *left_out_mine, *left_out_all;
    int32_t *left_out, *reported; /* reported: where there are laws */
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

/* How many floats the largest gather of a sampler for max_rows rows puts together. */
int64_t sampler_gathered_floats(int n_ranks, int max_rows);

/* Enqueues the sampling of the plan that the inputs hold. x comes from forward_run: device [n_needed, D] of
 * the activation type. Allocates nothing. */
void sampler_begin(struct sampler *sampler, int n_needed, const void *x, int slot);
/* Fills sampler->sampled[n_needed], the same on all ranks. The device must have done the step. */
void sampler_end(struct sampler *sampler, int slot);

#endif
