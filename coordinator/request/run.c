#include "coordinator/request/run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool run_init(struct run *run, const struct request_choices *choices, struct draft *draft)
{
    size_t n = (size_t)draft->length;
    bool stratified = choices->solver == SOLVER_STRATIFIED;
    run->changed_step = calloc(n, sizeof *run->changed_step);
    run->until_jump = stratified ? calloc(n, sizeof *run->until_jump) : NULL;
    if (!run->changed_step || (stratified && !run->until_jump))
        return false;
    run->length = draft->length;
    run->steps = choices->steps_most;
    run->seed = choices->seed;
    run->ids = draft->ids;
    run->editable = draft->editable;
    for (size_t i = 0; i < n; i++)
        run->n_pinned += !run->editable[i];
    *draft = (struct draft){0};
    return true;
}

void run_release(struct run *run)
{
    free(run->ids);
    free(run->editable);
    free(run->changed_step);
    free(run->until_jump);
}

static enum status check_change(const struct run *run, const struct step_report *report, size_t i, int n_ids,
                                struct error *error)
{
    uint32_t position = report->positions[i];
    if (position >= (uint32_t)run->length || (i > 0 && position <= report->positions[i - 1]))
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "report of sequence %llu: position %u is out of order or not below %d",
                         (unsigned long long)run->number, position, run->length);
    if (!run->editable[position])
        return error_set(error, STATUS_INVALID_ARGUMENT, "report of sequence %llu: position %u is pinned",
                         (unsigned long long)run->number, position);
    if (report->ids[i] >= (uint32_t)n_ids)
        return error_set(error, STATUS_INVALID_ARGUMENT, "report of sequence %llu: id %u is not below %d",
                         (unsigned long long)run->number, report->ids[i], n_ids);
    if (report->log_probabilities && !isfinite(report->log_probabilities[i]))
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "report of sequence %llu: the log probability at position %u is not a number",
                         (unsigned long long)run->number, position);
    return STATUS_OK;
}

static enum status check_until_jump(const struct run *run, const struct step_report *report,
                                    struct error *error)
{
    size_t wanted = run->until_jump ? (size_t)run->length : 0;
    if (report->n_until_jump != wanted)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "report of sequence %llu: until_jump has %zu values, %zu are its state",
                         (unsigned long long)run->number, report->n_until_jump, wanted);
    for (size_t i = 0; i < wanted; i++)
        if (!isfinite(report->until_jump[i]))
            return error_set(error, STATUS_INVALID_ARGUMENT,
                             "report of sequence %llu: until_jump of position %zu is not a number",
                             (unsigned long long)run->number, i);
    return STATUS_OK;
}

static enum status check_report(const struct run *run, const struct step_report *report, int n_ids,
                                struct error *error)
{
    bool last = report->step == (uint32_t)run->steps;
    if (report->step != run->step + 1 || report->done != last)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "report of sequence %llu: step %u%s does not follow step %u of %d",
                         (unsigned long long)run->number, report->step, report->done ? " (done)" : "",
                         run->step, run->steps);
    if (!(report->step_ms >= 0) || !isfinite(report->step_ms))
        return error_set(error, STATUS_INVALID_ARGUMENT, "report of sequence %llu: a step of %g ms",
                         (unsigned long long)run->number, report->step_ms);
    enum status status = check_until_jump(run, report, error);
    for (size_t i = 0; i < report->n_changed && status == STATUS_OK; i++)
        status = check_change(run, report, i, n_ids, error);
    return status;
}

enum status run_advance(struct run *run, const struct step_report *report, int n_ids, struct error *error)
{
    enum status status = check_report(run, report, n_ids, error);
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; i < report->n_changed; i++) {
        run->ids[report->positions[i]] = (int32_t)report->ids[i];
        run->changed_step[report->positions[i]] = report->step;
    }
    if (run->until_jump)
        memcpy(run->until_jump, report->until_jump, report->n_until_jump * sizeof *report->until_jump);
    run->step = report->step;
    run->n_losses = 0;
    run->compute_ms += report->step_ms;
    run->log_probability = report->log_probability;
    run->scored = report->scored;
    run->forwards += report->forwards;
    return STATUS_OK;
}

bool run_is_suspect(const struct run *run)
{
    return run->n_losses >= SUSPECT_LOSSES;
}

void run_count_loss(struct run *run, uint64_t replica)
{
    run->lost_on[run->n_losses++ % RUN_LOSSES_KEPT] = replica;
}

int run_losses_on(const struct run *run, uint64_t replica)
{
    int n = 0, n_kept = run->n_losses < RUN_LOSSES_KEPT ? run->n_losses : RUN_LOSSES_KEPT;
    for (int i = 0; i < n_kept; i++)
        n += run->lost_on[i] == replica;
    return n;
}

struct run *run_of_place(struct run_place *place)
{
    return (struct run *)((char *)place - offsetof(struct run, place));
}

uint32_t run_steps_left(const struct run *run)
{
    return (uint32_t)run->steps - run->step;
}
