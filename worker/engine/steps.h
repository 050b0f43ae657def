#ifndef MILLRACE_WORKER_ENGINE_STEPS_H
#define MILLRACE_WORKER_ENGINE_STEPS_H

#include "worker/engine/batch.h"
#include "worker/model/model.h"

/*
 * A batch goes through the model, one step after another. When the host runs ahead, it plans and enqueues the
 * next step before it reads the outcome of the step under way. So the device never waits for the host:
 *
 *   host    plan k+1 · enqueue · wait for k · apply k, report      plan k+2 ...
 *   device  ......... step k .........|......... step k+1 .........
 *
 * Texts and reports are the same either way. A sequence may leave after step k+1 was enqueued; then the
 * device computes one step too many for it, and nobody is told of that step. On a CPU an operation is done
 * when its call returns, so running ahead gains nothing there.
 */
struct steps {
    struct model *model;
    struct batch *batch;
    bool run_ahead;
    bool
        announce; /* broadcast each plan to the other ranks, which follow; false: every rank plans the same */
    struct plan plans[STEP_SLOTS];
    int n_under_way, oldest; /* the slot of the oldest step under way */
    struct plan_header last; /* of the plan whose step ended last */
    double began[STEP_SLOTS], ended;
};

/* `model` and `batch` must outlive the steps. `limits` are the batch's. */
enum status steps_init(struct steps *steps, struct model *model, struct batch *batch,
                       struct plan_limits limits, struct error *error);
void steps_release(struct steps *steps); /* zeroed ones are allowed */

/*
 * Begins the next step. false: there is none, or it must wait for an outcome. Sequences for which this step
 * is the last give their places back at once, so others may join before the step after it.
 */
bool steps_begin(struct steps *steps);
/* Ends the oldest step under way, and gives its reports (batch_apply) and its seconds. Without a step under
 * way it gives no reports. */
enum status steps_end(struct steps *steps, struct sequence_report *reports, int *n_reports, double *seconds,
                      struct error *error);
/* Begins every step that can begin, then ends the oldest. For callers that add no sequence in between. */
enum status steps_turn(struct steps *steps, struct sequence_report *reports, int *n_reports, double *seconds,
                       struct error *error);

/* Waits for all steps under way and drops their outcomes. The batch is of no use afterwards, unless it is
 * empty. */
enum status steps_drop(struct steps *steps, struct error *error);

#endif
