#ifndef MILLRACE_WORKER_MODEL_PLAN_H
#define MILLRACE_WORKER_MODEL_PLAN_H

#include <stddef.h>
#include <stdint.h>

#include "common/status.h"
#include "kernels/backend.h"
#include "worker/model/schedule.h"

/*
 * Everything that one step needs to know. Rank 0 decides it and sends it to all ranks; then the ranks compute
 * without asking each other what to do.
 *
 * Sequences are packed: their tokens follow one another in the rows 0 to n_rows - 1, without padding. Only
 * the rows listed in `needed` can change in this step; the others are there to be attended to. A plan is one
 * block of memory with no pointers in it, so that it is broadcast as it is.
 */
struct plan_limits {
    int max_sequences;
    int max_rows;
};

struct plan_sequence {
    struct schedule_step at;
    int32_t first_row, end_row;       /* rows */
    int32_t first_needed, end_needed; /* entries of needed */
    float inverse_temperature;
    int32_t forbid_mask;   /* not 0: the mask token cannot be drawn */
    int32_t step, n_steps; /* `at` is of pass `step` of n_steps; n_steps 0: there is no schedule */
    int32_t class;         /* which the text is of; the number of classes: of none */
    struct row_law law[2]; /* where the network has laws: of rows that hold the mask, and of the others */
};

struct plan_header {
    int32_t command; /* enum plan_command */
    int32_t n_sequences, n_rows, n_needed;
};

/* PLAN_PING: every rank answers that it is there, and does nothing else. */
enum plan_command { PLAN_STEP = 1, PLAN_STOP, PLAN_PING };

struct plan {
    struct plan_limits limits;
    size_t size_bytes; /* of the block, however much of it is used */
    void *block;
    /* pointers into the block, at places that depend on the limits alone */
    struct plan_header *header;
    struct plan_sequence *sequences; /* [max_sequences] */
    double *u_jump, *u_draw;         /* [max_rows], by entry of needed; in [0, 1) */
    int32_t *ids;                    /* [max_rows] */
    int32_t *from_row; /* [max_rows]: -1, or the row of the step before, as the device has it, that holds the
                                        id instead: its step may be under way still */
    int32_t *needed;   /* [max_rows]: rows, ascending */
    int slot;          /* not sent: which of the STEP_SLOTS (inputs.h) this plan's step takes */
};

/* Every from_row is -1. */
enum status plan_init(struct plan *plan, struct plan_limits limits, struct error *error);
void plan_release(struct plan *plan);

#endif
