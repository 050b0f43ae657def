#include "worker/engine/steps.h"

#include "common/clock.h"

enum status steps_init(struct steps *steps, struct model *model, struct batch *batch,
                       struct plan_limits limits, struct error *error)
{
    *steps = (struct steps){.model = model, .batch = batch};
    enum status status = STATUS_OK;
    for (int slot = 0; slot < STEP_SLOTS && status == STATUS_OK; slot++) {
        status = plan_init(&steps->plans[slot], limits, error);
        steps->plans[slot].slot = slot;
    }
    if (status != STATUS_OK)
        steps_release(steps);
    return status;
}

void steps_release(struct steps *steps)
{
    for (int slot = 0; slot < STEP_SLOTS; slot++)
        plan_release(&steps->plans[slot]);
}

/* Nobody but rank 0 hears of a plan that needs nothing: there is nothing to compute in it. */
static void begin_next(struct steps *steps)
{
    int slot = (steps->oldest + steps->n_under_way++) % STEP_SLOTS;
    struct plan *plan = &steps->plans[slot];
    struct collective *collective = steps->model->collective;
    steps->began[slot] = clock_seconds();
    batch_plan(steps->batch, plan);
    if (plan->header->n_needed == 0)
        return;
    if (steps->announce)
        collective->table->broadcast(collective, plan->block, plan->size_bytes);
    model_begin(steps->model, plan);
}

bool steps_begin(struct steps *steps)
{
    if (steps->n_under_way == (steps->run_ahead ? STEP_SLOTS : 1) || !batch_can_plan(steps->batch))
        return false;
    begin_next(steps);
    return true;
}

/* The oldest step's outcome, [n_needed]; it is under way no more. */
static enum status end_oldest(struct steps *steps, const struct plan **plan, const struct sampled **sampled,
                              struct error *error)
{
    int slot = steps->oldest;
    *plan = &steps->plans[slot];
    *sampled = NULL;
    steps->last = *(*plan)->header;
    steps->oldest = (slot + 1) % STEP_SLOTS;
    steps->n_under_way--;
    if ((*plan)->header->n_needed == 0)
        return STATUS_OK;
    enum status status = model_wait(steps->model, slot, error);
    if (status == STATUS_OK)
        *sampled = model_outcome(steps->model, slot);
    return status;
}

enum status steps_end(struct steps *steps, struct sequence_report *reports, int *n_reports, double *seconds,
                      struct error *error)
{
    const struct plan *plan;
    const struct sampled *sampled;
    *n_reports = 0;
    *seconds = 0;
    if (steps->n_under_way == 0)
        return STATUS_OK;
    double began = steps->began[steps->oldest];
    enum status status = end_oldest(steps, &plan, &sampled, error);
    if (status != STATUS_OK)
        return status;
    *n_reports = batch_apply(steps->batch, plan, sampled, reports);
    double now = clock_seconds(); /* a step takes its turn when the one before it is over */
    *seconds = now - (steps->ended > began ? steps->ended : began);
    steps->ended = now;
    return STATUS_OK;
}

enum status steps_turn(struct steps *steps, struct sequence_report *reports, int *n_reports, double *seconds,
                       struct error *error)
{
    while (steps_begin(steps))
        continue;
    return steps_end(steps, reports, n_reports, seconds, error);
}

enum status steps_drop(struct steps *steps, struct error *error)
{
    enum status status = STATUS_OK;
    const struct plan *plan;
    const struct sampled *sampled;
    while (steps->n_under_way > 0 && status == STATUS_OK)
        status = end_oldest(steps, &plan, &sampled, error);
    return status;
}
