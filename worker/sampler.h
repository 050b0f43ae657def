#ifndef MILLRACE_WORKER_SAMPLER_H
#define MILLRACE_WORKER_SAMPLER_H

#include "worker/collective.h"
#include "worker/meters.h"
#include "worker/plan.h"
#include "worker/weights.h"

/*
 * From the output layer's input of the needed rows to their new tokens, without logits.
 *
 * Rows are taken SAMPLER_ROWS at a time; for each of them a rank keeps the sum of exp of each tile of its vocabulary (8
 * bytes a tile) and nothing longer. So the memory does not grow with the length of the texts, and grows with the vocabulary by
 * 1/VOCABULARY_TILE of a logit. Three rounds:
 *   scan    each rank sums its tiles and groups                → gathered: 8 bytes a group and row, 4 bytes a rank and row
 *   choose  every rank alike decides jump or not, and in which group the new token lies
 *   draw    the group's holder recomputes one tile and draws   → gathered: 8 bytes a rank and row
 * The groups are the same for any number of ranks, and so are all decisions.
 */
enum { SAMPLER_ROWS = 512 };

/* What became of one needed row. */
struct sampled {
    int32_t token;           /* -1: it keeps its token */
    float log_probability;   /* of the new token under the model; natural */
    double jump_probability; /* 1 in the last step */
};

struct sampler {
    const struct model_weights *weights;
    struct collective *collective;
    double seconds; /* scan, choose and draw since start, waiting for other ranks not counted */
    double flop;
    struct meters *meters; /* NULL: nobody counts; not owned */
    int max_rows;
    size_t row_bytes;        /* of x */
    struct sampled *sampled; /* host [max_rows], by entry of the plan's needed; what sampler_run fills */
    int *group_bytes, *logit_bytes, *drawn_bytes; /* [n_ranks]: the ranks' parts of the block at hand */
    /* device, [SAMPLER_ROWS, ...] */
    struct exp_sum *tiles, *groups_mine, *groups_all;
    float *left_out_mine, *left_out_all, *inverse_temperature;
    int32_t *left_out;
    double *bound, *u_jump, *u_draw, *jump_probability;
    struct row_choice *choice;
    struct drawn_token *drawn_mine, *drawn_all;
    /* host, for filling and reading the above */
    struct row_choice *host_choice; /* [SAMPLER_ROWS] */
    struct drawn_token *host_drawn; /* [n_ranks, SAMPLER_ROWS] */
    double *host_doubles;           /* [SAMPLER_ROWS] */
    int32_t *host_left_out;
    float *host_temperature;
};

enum status sampler_init(struct sampler *sampler, const struct model_weights *weights,
                         struct collective *collective, int max_rows, struct error *error);
void sampler_release(struct sampler *sampler);

/* x: device [n_needed, D] of the activation type, from forward_run. Fills sampler->sampled[n_needed]; the same on all ranks. Allocates nothing. */
enum status sampler_run(struct sampler *sampler, const struct plan *plan, const void *x, struct error *error);

#endif
