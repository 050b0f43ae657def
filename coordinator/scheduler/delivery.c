#include "coordinator/scheduler/delivery.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/utf8.h"
#include "coordinator/scheduler/replica.h"

enum event_kind { ACCEPTED, FRAME, MOVED };

struct event {
    struct event *next;
    enum event_kind kind;
    uint32_t step;
    double seconds; /* since the acceptance */
    enum request_move move;
    char replica[REPLICA_NAME_MAX + 1];
    size_t n;
    bool has_scores;
    uint32_t values[]; /* [3n]: positions, then ids, then (floats) their log probabilities */
};

struct event_queue {
    struct event *first, *last;
    size_t size_bytes;
};

/* The last event, behind all that are queued. */
struct end {
    const struct run *run; /* NULL: not yet */
    enum status status;
    char text[ERROR_TEXT_MAX];
    char replica[REPLICA_NAME_MAX + 1];
    uint32_t n_ranks;
    double seconds;
};

struct delivery {
    struct request *request;
    struct event_queue queued;
    struct end end;

    bool is_claimed;
    struct delivery *next; /* in the list of the thread that claimed it */
    struct event_queue taken;
    bool end_is_taken;
};

/* ---- queues ---- */

static size_t size_of(size_t n)
{
    return sizeof(struct event) + 3 * n * sizeof(uint32_t);
}

static struct event *event_create(enum event_kind kind, size_t n)
{
    struct event *event = malloc(size_of(n));
    if (event)
        *event = (struct event){.kind = kind, .n = n};
    return event;
}

static void append(struct event_queue *queue, struct event *event)
{
    *(queue->first ? &queue->last->next : &queue->first) = event;
    queue->last = event;
    queue->size_bytes += size_of(event->n);
}

static void clear(struct event_queue *queue)
{
    while (queue->first) {
        struct event *next = queue->first->next;
        free(queue->first);
        queue->first = next;
    }
    *queue = (struct event_queue){0};
}

/* ---- queuing events; after delivery_create with the lock held ---- */

static struct event *make_start(const struct run *run)
{
    size_t n = (size_t)run->length;
    struct event *start = event_create(FRAME, n);
    for (size_t i = 0; start && i < n; i++) {
        start->values[i] = (uint32_t)i;
        start->values[n + i] = (uint32_t)run->ids[i];
    }
    return start;
}

struct delivery *delivery_create(struct request *request)
{
    struct delivery *delivery = calloc(1, sizeof *delivery);
    struct event *accepted = event_create(ACCEPTED, 0), *start = make_start(request->runs);
    if (!delivery || !accepted || !start) {
        free(delivery);
        free(accepted);
        free(start);
        return NULL;
    }
    delivery->request = request;
    append(&delivery->queued, accepted);
    append(&delivery->queued, start);
    return delivery;
}

void delivery_free(struct delivery *delivery)
{
    if (!delivery)
        return;
    clear(&delivery->queued);
    clear(&delivery->taken);
    free(delivery);
}

static void claim(struct delivery_list *list, struct delivery *delivery)
{
    if (delivery->is_claimed)
        return;
    delivery->is_claimed = true;
    delivery->next = NULL;
    *(list->first ? &list->last->next : &list->first) = delivery;
    list->last = delivery;
}

void delivery_accept(struct delivery_list *list, struct request *request)
{
    claim(list, request->delivery);
}

enum status delivery_frame(struct delivery_list *list, const struct run *run,
                           const struct step_report *report, struct error *error)
{
    struct delivery *delivery = run->request->delivery;
    size_t n = report->n_changed, row_bytes = n * sizeof(uint32_t);
    if (delivery->queued.size_bytes + size_of(n) > DELIVERY_MOST_BYTES)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED,
                         "frames of %zu bytes wait to be sent; they come faster than they leave",
                         delivery->queued.size_bytes);
    struct event *event = event_create(FRAME, n);
    if (!event)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a frame");
    event->step = run->step;
    event->seconds = clock_seconds() - run->accepted_at;
    if (n) {
        memcpy(event->values, report->positions, row_bytes);
        memcpy(event->values + n, report->ids, row_bytes);
    }
    event->has_scores = n && report->log_probabilities;
    if (event->has_scores)
        memcpy(event->values + 2 * n, report->log_probabilities, row_bytes);
    append(&delivery->queued, event);
    claim(list, delivery);
    return STATUS_OK;
}

void delivery_move(struct delivery_list *list, const struct run *run, enum request_move move,
                   const char *replica)
{
    struct event *event = event_create(MOVED, 0);
    if (!event)
        return;
    event->move = move;
    event->step = run->step;
    snprintf(event->replica, sizeof event->replica, "%s", replica);
    append(&run->request->delivery->queued, event);
    claim(list, run->request->delivery);
}

void delivery_end(struct delivery_list *list, const struct run *run, const struct ending *ending)
{
    struct end *end = &run->request->delivery->end;
    assert(!end->run); /* a request ends once */
    *end = (struct end){.run = run,
                        .status = ending->status,
                        .n_ranks = ending->n_ranks,
                        .seconds = clock_seconds() - run->accepted_at};
    utf8_copy(end->text, sizeof end->text, ending->text ? ending->text : "");
    snprintf(end->replica, sizeof end->replica, "%s", ending->replica ? ending->replica : "");
    claim(list, run->request->delivery);
}

void delivery_take(struct delivery_list *list)
{
    for (struct delivery *delivery = list->first; delivery; delivery = delivery->next) {
        delivery->taken = delivery->queued;
        delivery->queued = (struct event_queue){0};
        delivery->end_is_taken = delivery->end.run;
    }
}

/* Returns whether it stays in the list, because there are new events. */
static bool settle(struct delivery *delivery, int *n_ended)
{
    if (delivery->end_is_taken) {
        ++*n_ended;
        request_free(delivery->request);
        delivery_free(delivery);
        return false;
    }
    delivery->is_claimed = delivery->queued.first || delivery->end.run;
    return delivery->is_claimed;
}

int delivery_settle(struct delivery_list *list)
{
    struct delivery *delivery = list->first, *next;
    struct delivery_list left = {0};
    int n_ended = 0;
    for (; delivery; delivery = next) {
        next = delivery->next;
        if (!settle(delivery, &n_ended))
            continue;
        delivery->next = NULL;
        *(left.first ? &left.last->next : &left.first) = delivery;
        left.last = delivery;
    }
    *list = left;
    return n_ended;
}

/* ---- handing over; without the lock ---- */

static void hand_over_accepted(const struct request *request)
{
    const struct run *run = request->runs;
    const struct request_accepted accepted = {.id = request->id.text,
                                              .length = run->length,
                                              .n_pinned = run->n_pinned,
                                              .steps = run->steps,
                                              .editable = run->editable,
                                              .seed = run->seed,
                                              .temperature = request->choices.temperature,
                                              .solver = request->choices.solver,
                                              .class = request->terms.class,
                                              .estimated_seconds = request->estimated_seconds};
    request->sink->accepted(request->sink_context, &accepted);
}

static void hand_over_frame(const struct request *request, const struct event *event)
{
    const struct request_frame frame = {
        .step = event->step,
        .steps = (uint32_t)request->runs->steps,
        .n = event->n,
        .positions = event->values,
        .ids = event->values + event->n,
        .log_probabilities = event->has_scores ? (const float *)(event->values + 2 * event->n) : NULL,
        .seconds = event->seconds};
    request->sink->frame(request->sink_context, &frame);
}

static void hand_over_move(const struct request *request, const struct event *event)
{
    const struct request_moved moved = {.move = event->move,
                                        .replica = event->replica,
                                        .step = event->step,
                                        .steps = (uint32_t)request->runs->steps};
    if (request->sink->moved)
        request->sink->moved(request->sink_context, &moved);
}

static double since_acceptance(const struct run *run, double at)
{
    return at > 0 ? at - run->accepted_at : (double)NAN;
}

static void hand_over_end(const struct request *request, const struct end *end)
{
    const struct run *run = end->run;
    const struct request_ended ended = {
        .status = end->status,
        .text = end->text,
        .replica = end->replica,
        .n_ranks = end->n_ranks,
        .length = run->length,
        .n_pinned = run->n_pinned,
        .step = run->step,
        .steps = (uint32_t)run->steps,
        .seed = run->seed,
        .ids = run->ids,
        .changed_step = run->changed_step,
        .mean_log_probability = run->scored ? run->log_probability / run->scored : 0,
        .forwards = run->forwards,
        .queue_seconds = since_acceptance(run, run->began_at),
        .first_frame_seconds = since_acceptance(run, run->first_frame_at),
        .compute_seconds = 1e-3 * run->compute_ms,
        .seconds = end->seconds,
    };
    request->sink->ended(request->sink_context, &ended);
}

static void hand_over(struct delivery *delivery)
{
    const struct request *request = delivery->request;
    for (const struct event *event = delivery->taken.first; event; event = event->next) {
        if (event->kind == ACCEPTED)
            hand_over_accepted(request);
        else if (event->kind == FRAME)
            hand_over_frame(request, event);
        else
            hand_over_move(request, event);
    }
    clear(&delivery->taken);
    if (delivery->end_is_taken)
        hand_over_end(request, &delivery->end);
}

void delivery_hand_over(const struct delivery_list *list)
{
    for (struct delivery *delivery = list->first; delivery; delivery = delivery->next)
        hand_over(delivery);
}
