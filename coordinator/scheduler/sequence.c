#include "coordinator/scheduler/sequence.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct sequence *sequence_create(uint64_t number, struct request *request)
{
    struct sequence *sequence = calloc(1, sizeof *sequence);
    uint32_t *changed_step = calloc((size_t)request->length, sizeof *changed_step);
    bool stratified = request->solver == SOLVER_STRATIFIED;
    float *until_jump = stratified ? calloc((size_t)request->length, sizeof *until_jump) : NULL;
    if (!sequence || !changed_step || (stratified && !until_jump)) {
        free(sequence);
        free(changed_step);
        free(until_jump);
        return NULL;
    }
    sequence->until_jump = until_jump;
    sequence->number = sequence->ticket = number;
    sequence->request = *request;
    sequence->changed_step = changed_step;
    *request = (struct request){0};
    return sequence;
}

void sequence_free(struct sequence *sequence)
{
    if (!sequence)
        return;
    request_release(&sequence->request);
    free(sequence->changed_step);
    free(sequence->until_jump);
    free(sequence);
}

static enum status check_change(const struct sequence *sequence, const struct step_report *report, size_t i,
                                int n_ids, struct error *error)
{
    uint32_t position = report->positions[i];
    if (position >= (uint32_t)sequence->request.length || (i > 0 && position <= report->positions[i - 1]))
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "report of sequence %llu: position %u is out of order or not below %d",
                         (unsigned long long)sequence->number, position, sequence->request.length);
    if (!sequence->request.editable[position])
        return error_set(error, STATUS_INVALID_ARGUMENT, "report of sequence %llu: position %u is pinned",
                         (unsigned long long)sequence->number, position);
    if (report->ids[i] >= (uint32_t)n_ids)
        return error_set(error, STATUS_INVALID_ARGUMENT, "report of sequence %llu: id %u is not below %d",
                         (unsigned long long)sequence->number, report->ids[i], n_ids);
    return STATUS_OK;
}

static enum status check_until_jump(const struct sequence *sequence, const struct step_report *report,
                                    struct error *error)
{
    size_t wanted = sequence->until_jump ? (size_t)sequence->request.length : 0;
    if (report->n_until_jump != wanted)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "report of sequence %llu: until_jump has %zu values, %zu are its state",
                         (unsigned long long)sequence->number, report->n_until_jump, wanted);
    for (size_t i = 0; i < wanted; i++)
        if (!isfinite(report->until_jump[i]))
            return error_set(error, STATUS_INVALID_ARGUMENT,
                             "report of sequence %llu: until_jump of position %zu is not a number",
                             (unsigned long long)sequence->number, i);
    return STATUS_OK;
}

static enum status check_report(const struct sequence *sequence, const struct step_report *report, int n_ids,
                                struct error *error)
{
    bool last = report->step == (uint32_t)sequence->request.steps;
    if (report->step != sequence->step + 1 || report->done != last)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "report of sequence %llu: step %u%s does not follow step %u of %d",
                         (unsigned long long)sequence->number, report->step, report->done ? " (done)" : "",
                         sequence->step, sequence->request.steps);
    if (!(report->step_ms >= 0) || !isfinite(report->step_ms))
        return error_set(error, STATUS_INVALID_ARGUMENT, "report of sequence %llu: a step of %g ms",
                         (unsigned long long)sequence->number, report->step_ms);
    enum status status = check_until_jump(sequence, report, error);
    for (size_t i = 0; i < report->n_changed && status == STATUS_OK; i++)
        status = check_change(sequence, report, i, n_ids, error);
    return status;
}

enum status sequence_advance(struct sequence *sequence, const struct step_report *report, int n_ids,
                             struct error *error)
{
    enum status status = check_report(sequence, report, n_ids, error);
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; i < report->n_changed; i++) {
        sequence->request.ids[report->positions[i]] = (int32_t)report->ids[i];
        sequence->changed_step[report->positions[i]] = report->step;
    }
    if (sequence->until_jump)
        memcpy(sequence->until_jump, report->until_jump, report->n_until_jump * sizeof *report->until_jump);
    sequence->step = report->step;
    sequence->n_losses = 0;
    sequence->compute_ms += report->step_ms;
    sequence->log_probability = report->log_probability;
    sequence->scored = report->scored;
    return STATUS_OK;
}

uint32_t sequence_steps_left(const struct sequence *sequence)
{
    return (uint32_t)sequence->request.steps - sequence->step;
}

static void list_count(struct sequence_list *list, const struct sequence *sequence, int sign)
{
    list->n += sign;
    list->n_tokens += sign * sequence->request.length;
    list->work += sign * (int64_t)sequence->request.length * sequence_steps_left(sequence);
}

/* Behind `previous`; NULL: to the front. */
static void link_behind(struct sequence_list *list, struct sequence *sequence, struct sequence *previous)
{
    sequence->previous = previous;
    sequence->next = previous ? previous->next : list->first;
    *(previous ? &previous->next : &list->first) = sequence;
    *(sequence->next ? &sequence->next->previous : &list->last) = sequence;
    list_count(list, sequence, 1);
}

void sequence_list_append(struct sequence_list *list, struct sequence *sequence)
{
    link_behind(list, sequence, list->last);
}

void sequence_list_insert(struct sequence_list *list, struct sequence *sequence)
{
    struct sequence *previous = list->last;
    if (previous && previous->number > sequence->number) { /* it comes back: it belongs near the front */
        previous = NULL;
        for (struct sequence *next = list->first; next->number < sequence->number; next = next->next)
            previous = next;
    }
    link_behind(list, sequence, previous);
}

void sequence_list_remove(struct sequence_list *list, struct sequence *sequence)
{
    if (sequence->previous)
        sequence->previous->next = sequence->next;
    else
        list->first = sequence->next;
    if (sequence->next)
        sequence->next->previous = sequence->previous;
    else
        list->last = sequence->previous;
    sequence->previous = sequence->next = NULL;
    list_count(list, sequence, -1);
}
