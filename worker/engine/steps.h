#ifndef MILLRACE_WORKER_ENGINE_STEPS_H
#define MILLRACE_WORKER_ENGINE_STEPS_H

#include "worker/engine/batch.h"
#include "worker/model/model.h"

/*
 * A batch going through the model, one step after another. Running ahead, the next step is planned and
 * enqueued before the outcome of the one that is under way is read, so that the device never waits for the
 * host:
 *
 *   host    plan k+1 · enqueue · wait for k · apply k, report      plan k+2 ...
 *   device  ......... step k .........|......... step k+1 .........
 *
 * The same texts and the same reports either way. A sequence that leaves after k+1 was enqueued is computed
 * one step longer and nothing is said of it. Where operations are done when their calls return (the CPU),
 * running ahead gains nothing.
 */
struct steps {
    struct model *model;
    struct batch *batch;
    bool run_ahead;
    bool announce; /* each plan is broadcast to the other ranks, which follow; false: all ranks plan alike */
    struct plan plans[STEP_SLOTS];
    int n_under_way, oldest; /* the slot of the oldest step under way */
    struct plan_header last; /* of the plan whose step ended last */
    double began[STEP_SLOTS], ended;
};

/* `model` and `batch` are borrowed. The plans get the batch's limits. */
enum status steps_init(struct steps *steps, struct model *model, struct batch *batch,
                       struct plan_limits limits, struct error *error);
void steps_release(struct steps *steps); /* zeroed ones are allowed */

/*
 * Begins the next step, if there is one and it need not wait: true. What it was the last step of has given
 * its place back, so that others may join before the step after it.
 */
bool steps_begin(struct steps *steps);
/* Ends the oldest step under way: its reports, as batch_apply gives them, and its seconds. Nothing, where
 * none is. */
enum status steps_end(struct steps *steps, struct sequence_report *reports, int *n_reports, double *seconds,
                      struct error *error);
/* Both, where nobody joins in between: begins what can be begun, and ends the oldest. */
enum status steps_turn(struct steps *steps, struct sequence_report *reports, int *n_reports, double *seconds,
                       struct error *error);

/* Waits for what is under way and drops it; the batch must be empty or given up. */
enum status steps_drop(struct steps *steps, struct error *error);

#endif
