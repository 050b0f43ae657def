#ifndef MILLRACE_WORKER_MODEL_INPUTS_H
#define MILLRACE_WORKER_MODEL_INPUTS_H

#include "kernels/backend.h"
#include "worker/model/plan.h"

/*
 * A plan as the device reads it. The plan speaks of sequences; here every row has its own numbers.
 *
 * All arrays lie in one block, at places that depend on the limits alone. So a plan is one copy, and a
 * recorded segment finds its inputs where they were. There are two host blocks: while one is being copied,
 * the next plan fills the other. Where the device's memory is the host's, the device reads the host block and
 * nothing is copied.
 *
 * The texts stay on the device: `texts` holds them before and after a step. A row takes its id from the row
 * `from_row` of the step before, or from the plan (backend.h: select_ids, write_drawn).
 */
enum { STEP_SLOTS = 2 }; /* how many steps may be under way at a time */

/* Device memory; [max_rows] where nothing else is said. */
struct input_rows {
    struct row_law *law;             /* where there are laws, of needed rows; else NULL, as the next two */
    int32_t *reported_row;           /* the row whose present token is reported; -1: reported_other */
    int32_t *reported_other;         /* a token; -1: none */
    double *u_jump, *u_draw, *bound; /* of needed rows, like all down to left_out_other */
    float *inverse_temperature;
    int32_t *needed;
    int32_t *condition_of_needed, *position_of_needed;
    int32_t *left_out_row;   /* the row whose present token is left out of the sum; -1: left_out_other */
    int32_t *left_out_other; /* a token; -1: none */
    int32_t *ids, *from_row; /* of rows, like all down to position_of_row */
    int32_t *condition_of_row, *position_of_row;
    int32_t *row_start, *needed_start; /* [max_sequences + 1] */
};

struct inputs {
    const struct backend *backend;
    struct device *device;
    struct plan_limits limits;
    bool has_laws; /* rows change by laws, not by bounds alone */
    size_t size_bytes;
    char *host[STEP_SLOTS];
    char *block;                 /* device; NULL where the host's memory is the device's */
    int32_t *texts[2], *ids_now; /* device [max_rows]; ids_now: which of them this step reads and writes */
    struct input_rows rows;      /* of the plan that was uploaded last */
};

/* has_laws: the model's network has laws (backend.h, enum row_rule), and so must the backend. */
enum status inputs_init(struct inputs *inputs, const struct backend *backend, struct device *device,
                        struct plan_limits limits, bool has_laws, struct error *error);
void inputs_release(struct inputs *inputs); /* zeroed ones are allowed */

/*
 * Writes the plan out, row by row, and enqueues its copy to the device. entry[n_sequences] is each sequence's
 * row of the conditioning table; NULL: there is no table. mask_token is the token that forbid_mask forbids,
 * and by which the laws tell rows apart. The slot's last step must be over. Allocates nothing.
 */
void inputs_upload(struct inputs *inputs, const struct plan *plan, const int32_t *entry, int32_t mask_token,
                   int slot);

#endif
