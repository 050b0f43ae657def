#include "tests/coordinator/scheduler/scheduler_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct scheduler *scheduler;
int n_changes;
char events[64];
static size_t n_events;

static void on_accepted(void *context, const struct request_accepted *accepted)
{
    struct client *client = context;
    client->steps = accepted->steps;
    client->estimated_seconds = accepted->estimated_seconds;
    client->n_accepted++;
}

static void on_frame(void *context, const struct request_frame *frame)
{
    struct client *client = context;
    ck_assert_int_eq(client->n_accepted, 1);
    ck_assert_int_eq(client->n_ended, 0);
    if (!client->hears_several)
        ck_assert_uint_eq(frame->step, client->next_step++); /* never backwards, never one left out */
    client->last_step = frame->step;
    client->n_frames += frame->step > 0;
    for (size_t i = 0; i < frame->n && frame->positions[i] < LENGTH; i++)
        client->ids[frame->positions[i]] = (int32_t)frame->ids[i];
}

static void on_moved(void *context, const struct request_moved *moved)
{
    struct client *client = context;
    (void)moved;
    client->n_moves++;
}

static void on_ended(void *context, const struct request_ended *ended)
{
    struct client *client = context;
    client->n_ended++;
    client->status = ended->status;
    snprintf(client->text, sizeof client->text, "%s", ended->text);
}

static const struct request_sink sink = {on_accepted, on_frame, on_moved, on_ended};

static void connection_submit(void *context, const struct run *run)
{
    struct fake_connection *connection = context;
    connection->n_submitted++;
    connection->number = run->number;
    connection->ticket = run->ticket;
    connection->step = run->step;
    memcpy(connection->ids, run->ids, sizeof connection->ids);
}

static void connection_cancel(void *context, uint64_t ticket)
{
    struct fake_connection *connection = context;
    connection->n_cancelled++;
    connection->cancelled = ticket;
}

static void connection_drain(void *context)
{
    ((struct fake_connection *)context)->n_drained++;
}

static void connection_hang_up(void *context, enum status status, const char *text)
{
    (void)status, (void)text;
    ((struct fake_connection *)context)->n_hung_up++;
}

const struct replica_connection operations = {connection_submit, connection_cancel, connection_drain,
                                              connection_hang_up};

static void count_change(void *context)
{
    (void)context;
    n_changes++;
}

static void note_event(void *context, const struct scheduler_event *event)
{
    (void)context;
    static const char letters[] = {[EVENT_ACCEPTED] = 'a',    [EVENT_REFUSED] = 'r', [EVENT_STARTED] = 's',
                                   [EVENT_FIRST_FRAME] = 'f', [EVENT_STEP] = '.',    [EVENT_PREEMPTED] = 'p',
                                   [EVENT_MOVED] = 'm',       [EVENT_LOST] = 'l',    [EVENT_ENDED] = 'e'};
    events[n_events++ % (sizeof events - 1)] = letters[event->kind];
}

void set_up(void)
{
    const struct scheduler_options options = {.max_queue = 3,
                                              .n_ids = N_IDS,
                                              .silence_seconds = 0,
                                              .changed = count_change,
                                              .max_queue_tokens = 100,
                                              .client_tokens = 1000,
                                              .observer = {.event = note_event}};
    scheduler = scheduler_create(&options);
    n_changes = 0;
    n_events = 0;
    memset(events, 0, sizeof events);
}

void tear_down(void)
{
    scheduler_end_all(scheduler, "the test is over");
    scheduler_free(scheduler);
}

struct request *make_request(const struct request_terms *terms, int length, int steps_least)
{
    const struct request_choices choices = {
        .steps_most = STEPS, .steps_least = steps_least, .steps_default = STEPS, .seed = 1, .temperature = 1};
    struct draft draft;
    ck_assert_int_eq(draft_create(&draft, (size_t)length, NULL), STATUS_OK);
    memset(draft.editable + 1, 1, (size_t)length - 1);
    struct request *request = request_of_draft(terms, &choices, &draft);
    ck_assert_ptr_nonnull(request);
    return request;
}

enum status accept_made(struct client *client, struct request *request, struct error *error)
{
    enum status status = scheduler_accept(scheduler, request, &sink, client, &client->number, error);
    if (status != STATUS_OK)
        request_free(request);
    return status;
}

enum status accept_length(struct client *client, int length, struct error *error)
{
    return accept_made(client, make_request(&(struct request_terms){0}, length, 0), error);
}

void accept_request(struct client *client)
{
    *client = (struct client){0};
    ck_assert_int_eq(accept_length(client, LENGTH, NULL), STATUS_OK);
    ck_assert_int_eq(client->n_accepted, 1);
}

enum status accept_with(struct client *client, enum request_class class, int length,
                        struct request_terms terms, int steps_least, struct error *error)
{
    terms.class = class;
    *client = (struct client){0};
    return accept_made(client, make_request(&terms, length, steps_least), error);
}

void accept_class(struct client *client, enum request_class class)
{
    struct error error;
    enum status status = accept_with(client, class, LENGTH, (struct request_terms){0}, 0, &error);
    ck_assert_msg(status == STATUS_OK, "%s", status == STATUS_OK ? "" : error.text);
}

void attach(const char *name, struct fake_connection *connection)
{
    struct replica_hello hello = {name, "cpu", 2, NULL};
    *connection = (struct fake_connection){0};
    ck_assert_int_eq(scheduler_attach(scheduler, &hello, &operations, connection, NULL), STATUS_OK);
}

void attach_ready(const char *name, struct fake_connection *connection, int max_sequences)
{
    attach(name, connection);
    const struct replica_capacity capacity = {.max_sequences = max_sequences, .max_tokens = 4 * LENGTH};
    scheduler_ready(scheduler, connection, &capacity);
}

enum status report(struct fake_connection *connection, uint64_t number, uint32_t step)
{
    uint32_t position = step, id = 10 + step;
    struct step_report step_report = {.ticket = number,
                                      .step = step,
                                      .n_changed = 1,
                                      .positions = &position,
                                      .ids = &id,
                                      .done = step == STEPS};
    return scheduler_report(scheduler, connection, &step_report, NULL);
}

void report_steps(struct fake_connection *connection, uint64_t number, uint32_t from, uint32_t to)
{
    for (uint32_t step = from; step <= to; step++)
        ck_assert_int_eq(report(connection, number, step), STATUS_OK);
}

struct scheduler_totals totals(void)
{
    struct scheduler_totals now;
    scheduler_totals(scheduler, &now);
    return now;
}

static void set_state_name(void *context, const struct replica *replica)
{
    *(const char **)context = replica_state_name(replica->state);
}

const char *only_state(void)
{
    const char *name = NULL;
    scheduler_each_replica(scheduler, set_state_name, &name);
    return name;
}
