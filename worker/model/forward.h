#ifndef MILLRACE_WORKER_MODEL_FORWARD_H
#define MILLRACE_WORKER_MODEL_FORWARD_H

#include "worker/collective/collective.h"
#include "worker/model/conditioning.h"
#include "worker/model/meters.h"
#include "worker/model/observer.h"
#include "worker/model/inputs.h"
#include "worker/model/weights.h"

/*
 * The model's forward pass over the packed rows of a plan, on this rank's shard. The network is FS-DFM's
 * (arXiv 2509.20624): a transformer whose blocks are modulated by (t, dt), after DiT (arXiv 2212.09748), with
 * rotary positions (arXiv 2104.09864).
 *
 * A row that cannot change in this step (exact thinning) is needed only as a key and a value. In the last
 * block it gets no query and no MLP, and afterwards no logits. The result is the input of the output layer,
 * for the needed rows.
 *
 * All rows go through the blocks together, up to the keys and values of the last one. Two steps make the same
 * calls there when they have as many rows, as many sequences and an equally long longest sequence; so a GPU
 * records the calls once and plays them afterwards (backend.h, segment_key). Therefore the buffers here and
 * in the inputs, the conditioning table and the weights never move. Only what they hold changes: the entries
 * of the table that the rows read are computed before this stretch begins.
 */
struct forward {
    const struct model_weights *weights;
    struct conditioning *conditioning;
    struct collective *collective;
    struct inputs *inputs;
    struct plan_limits limits;
    const struct observer *observer; /* NULL: nobody looks */
    struct meters *meters;           /* NULL: nobody counts; not owned */
    bool is_timed;                   /* wait for the device after each phase, so that the seconds are its own;
                                        nothing is recorded or overlaps: for measuring */
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
 * Enqueues the pass, and before it the copy of the plan to the device. Returns device memory [n_needed, D] of
 * the activation type: LN_f(x) ⊙ (1 + scale) + shift for the plan's needed rows, the same on all ranks, valid
 * until the next call. The caller may change the plan when this returns. The slot's last step must be over.
 * Allocates nothing.
 */
const void *forward_run(struct forward *forward, const struct plan *plan, int slot);

#endif
