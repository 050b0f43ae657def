#ifndef MILLRACE_WORKER_ENGINE_ENGINE_H
#define MILLRACE_WORKER_ENGINE_ENGINE_H

#include "worker/engine/batch.h"
#include "worker/engine/mailbox.h"
#include "worker/model/model.h"

/*
 * The step loop. One thread per rank owns the model, its device and its communicator; everybody else posts
 * mail.
 *
 * Rank 0 [engine_lead]:   take mail → plan the step of all sequences → broadcast the plan → step → report.
 *                         Nothing to compute: once a second a round in which every rank answers.
 * Others [engine_follow]: wait for a plan → step, or answer.
 *
 * What it does is counted in the model's meters, and METER_PROGRESS moves for as long as no rank hangs.
 *
 * After engine_create nothing on this path allocates, but for what the sink does with a report.
 */
struct engine_sink {
    void *context;
    /* One sequence after one step; the report's memory is borrowed. */
    void (*report)(void *context, const struct sequence_report *report, double step_seconds);
    /* A submission that was not taken up; its only answer. */
    void (*rejected)(void *context, uint64_t number, uint32_t line, const struct error *error);
    /* Once, when engine_lead ends in a drain: everything that ran is reported. */
    void (*drained)(void *context);
};

struct engine;

/* All ranks. `model` is borrowed. run_ahead: steps.h. */
enum status engine_create(struct model *model, struct plan_limits limits, bool run_ahead,
                          struct engine **engine, struct error *error);
void engine_free(struct engine *engine); /* NULL is allowed */

/* Rank 0: runs until MAIL_STOP, or MAIL_DRAIN and all done; tells the others to end. The error is a device or
 * a rank that failed. */
enum status engine_lead(struct engine *engine, struct mailbox *mailbox, const struct engine_sink *sink,
                        struct error *error);
/* Other ranks: runs until rank 0 says stop. */
enum status engine_follow(struct engine *engine, struct error *error);

/* All ranks together, before engine_lead and engine_follow: take one short sequence through one step, so that
 * memory is touched and clocks are up before the replica says that it is ready. All get the same verdict,
 * unless the exchange between them broke: then a rank has its own error, and the collective's status is not
 * OK. */
enum status engine_warm_up(struct engine *engine, struct error *error);

#endif
