#ifndef MILLRACE_WORKER_ENGINE_ENGINE_H
#define MILLRACE_WORKER_ENGINE_ENGINE_H

#include "worker/engine/batch.h"
#include "worker/engine/mailbox.h"
#include "worker/model/model.h"

/*
 * The step loop. One thread of each rank owns the model, its device and its communicator. Other threads only
 * post mail.
 *
 * Rank 0 [engine_lead]:   take mail → plan the step of all sequences → broadcast the plan → step → report.
 *                         With nothing to compute: once a second a round in which every rank answers.
 * Others [engine_follow]: wait for a plan → step, or answer.
 *
 * The engine counts its work in the model's meters. METER_PROGRESS moves for as long as no rank hangs.
 *
 * After engine_create nothing on this path allocates, except what the sink needs for a report.
 */
struct engine_sink {
    void *context;
    /* One sequence has taken one step. The report's memory is the engine's. */
    void (*report)(void *context, const struct sequence_report *report, double step_seconds);
    /* The engine does not take a submission up. This is the only answer to it. `connection`: by which it
     * came. */
    void (*rejected)(void *context, uint64_t number, uint32_t connection, const struct error *error);
    /* Called once, when engine_lead ends after a drain and everything that ran is reported. */
    void (*drained)(void *context);
};

struct engine;

/* All ranks. `model` must outlive the engine. run_ahead: see steps.h. */
enum status engine_create(struct model *model, struct plan_limits limits, bool run_ahead,
                          struct engine **engine, struct error *error);
void engine_free(struct engine *engine); /* NULL is allowed */

/* Rank 0: runs until MAIL_STOP, or until MAIL_DRAIN and everything is done. Then it tells the other ranks to
 * end. It returns an error when a device or another rank failed; the other ranks are then told nothing. */
enum status engine_lead(struct engine *engine, struct mailbox *mailbox, const struct engine_sink *sink,
                        struct error *error);
/* Other ranks: runs until rank 0 tells them to end, or this rank's device fails. */
enum status engine_follow(struct engine *engine, struct error *error);

/* All ranks together, before engine_lead and engine_follow: write a text of so many tokens in one step, so
 * that memory is touched and clocks are up before the replica says that it is ready; a GPU, whose kernels are
 * loaded and recorded, writes two. tokens 0: 16 on a CPU, the longest text on a GPU. All get the same
 * verdict, unless the exchange between them broke: then a rank has its own error, and the collective's status
 * is not OK. */
enum status engine_warm_up(struct engine *engine, int tokens, struct error *error);

#endif
