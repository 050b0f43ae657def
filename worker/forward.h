#ifndef MILLRACE_WORKER_FORWARD_H
#define MILLRACE_WORKER_FORWARD_H

#include "worker/collective.h"
#include "worker/conditioning.h"
#include "worker/meters.h"
#include "worker/observer.h"
#include "worker/plan.h"
#include "worker/weights.h"

/*
 * The model's forward pass over the packed rows of a plan, on this rank's shard (spec, Forward pass).
 *
 * Rows that cannot change in this step (exact thinning) are needed only as keys and values: in the last block they get no query,
 * no MLP, and no logits. The result is the output layer's input for the needed rows.
 */
struct forward {
    const struct model_weights *weights;
    struct conditioning *conditioning;
    struct collective *collective;
    struct plan_limits limits;
    const struct observer *observer; /* NULL: nobody looks */
    struct meters *meters;           /* NULL: nobody counts; not owned */
    struct forward_seconds {
        double matmul, attention, other; /* communication is counted by the collective */
    } seconds;
    double
        flop; /* done by this rank's matrix products and attention since start; a multiply and an add are 2 */
    enum dtype activation; /* of what is void below */
    /* device memory, [max_rows, ...] */
    float *x;                                        /* [D]: the residual stream */
    void *normed;                                    /* [D] */
    void *query;                                     /* [D_r] */
    void *key_value;                                 /* [2 D_r] */
    void *attended;                                  /* [D_r] */
    void *mlp;                                       /* [F_r] */
    float *sum;                                      /* [D]: the all-reduced outputs */
    float *needed_x;                                 /* [D] */
    void *needed_normed;                             /* [D] */
    int32_t *ids, *needed;                           /* [1] */
    int32_t *condition_of_row, *condition_of_needed; /* [1]: entries of the conditioning table */
    int32_t *position_of_row, *position_of_needed;   /* [1] */
    int32_t *row_start, *needed_start;               /* [max_sequences + 1] */
    /* host copies in which a plan is spelled out before it is uploaded */
    int32_t *spelled;       /* [max_rows] */
    int32_t *spelled_start; /* [max_sequences + 1] */
};

enum status forward_init(struct forward *forward, const struct model_weights *weights,
                         struct conditioning *conditioning, struct collective *collective,
                         struct plan_limits limits, struct error *error);
void forward_release(struct forward *forward);

/* Returns device memory [n_needed, D] of the activation type: LN_f(x) ⊙ (1 + scale) + shift of the plan's needed rows. All ranks get the same. Valid until
 * the next call. Allocates nothing. */
const void *forward_run(struct forward *forward, const struct plan *plan);

#endif
