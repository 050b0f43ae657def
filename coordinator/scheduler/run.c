#include "coordinator/scheduler/run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct run *run_create(uint64_t number, struct request *request)
{
    struct run *run = calloc(1, sizeof *run);
    uint32_t *changed_step = calloc((size_t)request->length, sizeof *changed_step);
    bool stratified = request->solver == SOLVER_STRATIFIED;
    float *until_jump = stratified ? calloc((size_t)request->length, sizeof *until_jump) : NULL;
    if (!run || !changed_step || (stratified && !until_jump)) {
        free(run);
        free(changed_step);
        free(until_jump);
        return NULL;
    }
    run->until_jump = until_jump;
    run->number = run->ticket = number;
    run->request = *request;
    run->changed_step = changed_step;
    *request = (struct request){0};
    return run;
}

void run_free(struct run *run)
{
    if (!run)
        return;
    request_release(&run->request);
    free(run->changed_step);
    free(run->until_jump);
    free(run);
}

static enum status check_change(const struct run *run, const struct step_report *report, size_t i, int n_ids,
                                struct error *error)
{
    uint32_t position = report->positions[i];
    if (position >= (uint32_t)run->request.length || (i > 0 && position <= report->positions[i - 1]))
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "report of sequence %llu: position %u is out of order or not below %d",
                         (unsigned long long)run->number, position, run->request.length);
    if (!run->request.editable[position])
        return error_set(error, STATUS_INVALID_ARGUMENT, "report of sequence %llu: position %u is pinned",
                         (unsigned long long)run->number, position);
    if (report->ids[i] >= (uint32_t)n_ids)
        return error_set(error, STATUS_INVALID_ARGUMENT, "report of sequence %llu: id %u is not below %d",
                         (unsigned long long)run->number, report->ids[i], n_ids);
    return STATUS_OK;
}

static enum status check_until_jump(const struct run *run, const struct step_report *report,
                                    struct error *error)
{
    size_t wanted = run->until_jump ? (size_t)run->request.length : 0;
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
    bool last = report->step == (uint32_t)run->request.steps;
    if (report->step != run->step + 1 || report->done != last)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "report of sequence %llu: step %u%s does not follow step %u of %d",
                         (unsigned long long)run->number, report->step, report->done ? " (done)" : "",
                         run->step, run->request.steps);
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
        run->request.ids[report->positions[i]] = (int32_t)report->ids[i];
        run->changed_step[report->positions[i]] = report->step;
    }
    if (run->until_jump)
        memcpy(run->until_jump, report->until_jump, report->n_until_jump * sizeof *report->until_jump);
    run->step = report->step;
    run->n_losses = 0;
    run->compute_ms += report->step_ms;
    run->log_probability = report->log_probability;
    run->scored = report->scored;
    return STATUS_OK;
}

bool run_is_suspect(const struct run *run)
{
    return run->n_losses >= SUSPECT_LOSSES;
}

uint32_t run_steps_left(const struct run *run)
{
    return (uint32_t)run->request.steps - run->step;
}

static void list_count(struct run_list *list, const struct run *run, int sign)
{
    list->n += sign;
    list->n_tokens += sign * run->request.length;
    list->work += sign * (int64_t)run->request.length * run_steps_left(run);
}

/* Behind `previous`; NULL: to the front. */
static void link_behind(struct run_list *list, struct run *run, struct run *previous)
{
    run->previous = previous;
    run->next = previous ? previous->next : list->first;
    *(previous ? &previous->next : &list->first) = run;
    *(run->next ? &run->next->previous : &list->last) = run;
    list_count(list, run, 1);
}

void run_list_append(struct run_list *list, struct run *run)
{
    link_behind(list, run, list->last);
}

void run_list_insert(struct run_list *list, struct run *run)
{
    struct run *previous = list->last;
    if (previous && previous->number > run->number) { /* it comes back: it belongs near the front */
        previous = NULL;
        for (struct run *next = list->first; next->number < run->number; next = next->next)
            previous = next;
    }
    link_behind(list, run, previous);
}

void run_list_remove(struct run_list *list, struct run *run)
{
    if (run->previous)
        run->previous->next = run->next;
    else
        list->first = run->next;
    if (run->next)
        run->next->previous = run->previous;
    else
        list->last = run->previous;
    run->previous = run->next = NULL;
    list_count(list, run, -1);
}
