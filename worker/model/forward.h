#ifndef MILLRACE_WORKER_MODEL_FORWARD_H
#define MILLRACE_WORKER_MODEL_FORWARD_H

#include "worker/collective/collective.h"
#include "worker/model/conditioning.h"
#include "worker/model/meters.h"
#include "worker/model/observer.h"
#include "worker/model/inputs.h"
#include "worker/model/weights.h"

/*
 * The model's forward pass over the packed rows of a plan, on this rank's shard.
 *
 * Rows that cannot change in this step (exact thinning) are needed only as keys and values: in the last block
 * they get no query, no MLP, and no logits. The result is the output layer's input for the needed rows.
 *
 * What every row goes through (all blocks up to the last one's keys and values) is the same stretch of
 * operations for equal numbers of rows and sequences and an equal longest text: a GPU records it once and
 * plays it (backend.h, segment_key). Between plays nothing may change but what the memory holds: the buffers
 * here and in the inputs, the conditioning table, and the weights stay where they are. Which entries of the
 * table a row reads is data; they are computed before the stretch.
 */
struct forward {
    const struct model_weights *weights;
    struct conditioning *conditioning;
    struct collective *collective;
    struct inputs *inputs;
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
    float *x;            /* [D]: the residual stream */
    void *normed;        /* [D] */
    void *query;         /* [D_r] */
    void *key_value;     /* [2 D_r] */
    void *attended;      /* [D_r] */
    void *mlp;           /* [F_r] */
    float *sum;          /* [D]: the all-reduced outputs */
    float *needed_x;     /* [D] */
    void *needed_normed; /* [D] */
    int32_t *entry;      /* host [max_sequences]: each sequence's row of the conditioning table */
};

enum status forward_init(struct forward *forward, const struct model_weights *weights,
                         struct conditioning *conditioning, struct collective *collective,
                         struct inputs *inputs, struct error *error);
void forward_release(struct forward *forward);

/*
 * Enqueues the pass, the plan's way to the device included, and returns device memory [n_needed, D] of the
 * activation type: LN_f(x) ⊙ (1 + scale) + shift of the plan's needed rows. All ranks get the same. Valid
 * until the next call. The plan may change when this returns; what was begun with the same slot before must
 * be over. Allocates nothing.
 */
const void *forward_run(struct forward *forward, const struct plan *plan, int slot);

#endif
