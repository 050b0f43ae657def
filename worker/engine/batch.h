#ifndef MILLRACE_WORKER_ENGINE_BATCH_H
#define MILLRACE_WORKER_ENGINE_BATCH_H

#include <stdbool.h>

#include "common/model/config.h"
#include "common/solver.h"
#include "worker/model/plan.h"
#include "worker/model/sampler.h"

/*
 * The sequences that a replica is refining, on rank 0. They join and leave between plans; a plan takes all of
 * them.
 *
 * A plan may be made while the outcome of the one before, in the other slot, is still awaited: which rows are
 * needed, with which uniforms and times, is a function of (seed, step, position) and of what is editable, and
 * the plan says where on the device the rows' tokens are (plan.h, from_row). Where it is not so,
 * batch_can_plan says no until that outcome is applied.
 *
 * Which step is a sequence's last is known when it is planned: its place and its rows are free from then on,
 * although its outcome is still to be reported. So no plan has more than the limits say, and none has less
 * while somebody waits.
 *
 * A sequence's state is (ids, step, seed) and, with SOLVER_STRATIFIED, until_jump: random numbers are
 * functions of (seed, step, position), so a sequence that is taken up here after `step` steps elsewhere goes
 * on as if it had always been here.
 */
struct sequence_input {
    uint64_t number;         /* the coordinator's */
    uint32_t line;           /* comes back in its reports; see attach.h */
    const uint32_t *ids;     /* [length] */
    const uint8_t *editable; /* [length]: 0 pinned, 1 editable */
    size_t length;
    uint32_t step, n_steps;
    uint64_t seed;
    float temperature;
    enum solver solver;
    bool revise; /* mask source: what is revealed may change again, where the solver leaves the choice */
    uint32_t most_changes;   /* of a step but the last, the likeliest first; 0: as many as jump */
    const float *until_jump; /* [length], SOLVER_STRATIFIED after step 0; else NULL */
};

/* How one step left one sequence. Pointers are the batch's, valid until the next batch_apply. */
struct sequence_report {
    uint64_t number;
    uint32_t line;
    uint32_t step;                   /* steps done */
    const uint32_t *positions, *ids; /* [n_changed], ascending */
    size_t n_changed;
    bool done;
    const float *until_jump; /* [length] with SOLVER_STRATIFIED, else NULL */
    size_t length;
    double log_probability; /* when done: summed over the positions that the last step drew */
    uint32_t n_scored;      /* their number */
    uint64_t batch_step;    /* which of this batch's steps it was, counted from 1 */
    int batch_tokens;       /* positions of all sequences that it took on */
};

struct batch;

enum status batch_create(const struct model_config *config, struct plan_limits limits, struct batch **batch,
                         struct error *error);
void batch_free(struct batch *batch); /* NULL is allowed */

/* Copies the sequence in. INVALID_ARGUMENT names what is wrong with it; RESOURCE_EXHAUSTED: no room now. */
enum status batch_add(struct batch *batch, const struct sequence_input *input, struct error *error);
/* false: it is not here. */
bool batch_remove(struct batch *batch, uint64_t number);
void batch_clear(struct batch *batch);
/* Would batch_add find room now? true also for a text that is longer than any batch: batch_add says so. */
bool batch_has_room(const struct batch *batch, size_t length);
/* How many are here, those included whose last step is planned and not applied. */
int batch_size(const struct batch *batch);

/* From now on every editable row counts as needed: the same texts, for all the work that exact thinning
 * saves. For tests and measurements. */
void batch_thin_no_more(struct batch *batch);

/* Whether there is a step to plan, and nothing in it waits for an outcome. */
bool batch_can_plan(const struct batch *batch);

/*
 * Lays out the next step of every sequence that has one, in the plan's slot, whose last outcome is applied.
 * Rows whose jump uniform lies above what their step can reach are not needed (exact thinning); a sequence
 * without a needed row is left out of the pass. n_needed may be 0: then there is nothing to compute, and
 * batch_apply still moves everybody on.
 */
void batch_plan(struct batch *batch, struct plan *plan);

/* Takes the outcome of a plan, the oldest first: `sampled` by entry of needed. Fills reports[at most
 * max_sequences] of the sequences that were part of it and are still here, in the order of joining, and
 * removes those that are done. Returns the number of reports. */
int batch_apply(struct batch *batch, const struct plan *plan, const struct sampled *sampled,
                struct sequence_report *reports);

#endif
