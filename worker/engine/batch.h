#ifndef MILLRACE_WORKER_ENGINE_BATCH_H
#define MILLRACE_WORKER_ENGINE_BATCH_H

#include <stdbool.h>

#include "common/model/config.h"
#include "common/solver.h"
#include "worker/model/plan.h"
#include "worker/model/sampler.h"

/*
 * The sequences that a replica refines, on rank 0. They join and leave between plans. Every plan takes all of
 * them one step further.
 *
 * A plan may be made while the outcome of the plan before it, in the other slot, is still awaited. That works
 * because the rows that are needed, their uniforms and their times follow from (seed, step, position) and
 * from what is editable; and the plan says where on the device each row's token is (plan.h, from_row). Some
 * solvers need the outcome first. For those batch_can_plan returns false until the outcome is applied.
 *
 * The batch knows which step is a sequence's last when it plans that step. From then on its place and its
 * rows are free, although its outcome is still to be reported. So a plan never exceeds the limits, and no
 * room stays empty while a sequence waits for it.
 *
 * A step is a pass through the model. With some solvers the last step is two passes (moves.h); between them
 * nothing is reported, so that every report is the state after whole steps.
 *
 * A sequence's state is (ids, step, seed) and, with SOLVER_STRATIFIED, until_jump. Random numbers are
 * functions of (seed, step, position). So a sequence that took `step` steps elsewhere goes on here as if it
 * had always been here.
 */
struct sequence_input {
    uint64_t number;         /* the coordinator's */
    uint32_t connection;     /* by which it came (attach.h); its reports carry it */
    const uint32_t *ids;     /* [length] */
    const uint8_t *editable; /* [length]: 0 pinned, 1 editable */
    size_t length;
    uint32_t step, n_steps;
    uint64_t seed;
    float temperature;
    enum solver solver;
    bool revise;             /* mask source: a revealed token may change again, if the solver allows both */
    uint32_t most_changes;   /* of a step but the last, the likeliest first; 0: as many as jump */
    const float *until_jump; /* [length], SOLVER_STRATIFIED after step 0; else NULL */
};

/* What one step did to one sequence. The pointers are valid until the next batch_apply. */
struct sequence_report {
    uint64_t number;
    uint32_t connection;
    uint32_t step;                   /* steps done */
    const uint32_t *positions, *ids; /* [n_changed], ascending */
    const float *log_probabilities;  /* [n_changed]: of the ids when they were drawn; natural */
    size_t n_changed;
    bool done;
    const float *until_jump; /* [length] with SOLVER_STRATIFIED, else NULL */
    size_t length;
    double log_probability; /* when done: the sum over the positions that the last step drew */
    uint32_t n_scored;      /* their number */
    uint32_t forwards;      /* passes of the model that the step took of this sequence: 0, 1 or 2 */
    uint64_t batch_step;    /* which of this batch's steps it was, counted from 1 */
    int batch_tokens;       /* positions of all sequences that took this step */
};

struct batch;

enum status batch_create(const struct model_config *config, struct plan_limits limits, struct batch **batch,
                         struct error *error);
void batch_free(struct batch *batch); /* NULL is allowed */

/* Copies the sequence. INVALID_ARGUMENT: the sentence says what is wrong with it. RESOURCE_EXHAUSTED: there
 * is no room now. */
enum status batch_add(struct batch *batch, const struct sequence_input *input, struct error *error);
/* false: it is not here. */
bool batch_remove(struct batch *batch, uint64_t number);
void batch_clear(struct batch *batch);
/* Would batch_add find room now? It is also true for a text that no batch can hold: batch_add refuses that
 * one with a reason. */
bool batch_has_room(const struct batch *batch, size_t length);
/* How many sequences are here. A sequence whose last step is planned but not applied counts. */
int batch_size(const struct batch *batch);

/* From now on every editable row counts as needed. The texts stay the same, and the work is done that exact
 * thinning saves. For tests and measurements. */
void batch_thin_no_more(struct batch *batch);

/* Is there a step to plan that needs no outcome which is still awaited? */
bool batch_can_plan(const struct batch *batch);

/*
 * Plans the next step of every sequence that has one. The outcome of the plan that had this slot before must
 * be applied. A row is not needed when its jump uniform lies above what the step can reach (exact thinning).
 * A sequence without a needed row is left out of the pass. n_needed may be 0: then there is nothing to
 * compute, and batch_apply still moves every sequence one step further.
 */
void batch_plan(struct batch *batch, struct plan *plan);

/* Applies the outcome of the oldest plan that is not applied yet; `sampled` has an entry for each needed row.
 * Fills at most max_sequences reports, in the order of joining, for the sequences of the plan that are still
 * here and have taken a whole step. Removes the sequences that are done. Returns the number of reports. */
int batch_apply(struct batch *batch, const struct plan *plan, const struct sampled *sampled,
                struct sequence_report *reports);

#endif
