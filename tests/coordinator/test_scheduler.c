/* The scheduler alone: clients and replicas are structs that write down what they are told. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "coordinator/scheduler_state.h"

enum { LENGTH = 10, N_IDS = 100, STEPS = 4 };

/* A client that remembers. */
struct client {
    uint64_t number;
    int n_accepted, n_frames, n_ended, steps;
    double estimated_seconds;
    uint32_t last_step;
    enum status status;
    char text[256];
    int32_t ids[LENGTH];
};

/* A replica that remembers what was submitted last, and how much. */
struct fake_line {
    uint64_t ticket; /* of the last that was submitted */
    uint64_t batch_step;
    int n_submitted, n_cancelled, n_drained, n_hung_up;
    uint64_t number, cancelled;
    uint32_t step;
    int32_t ids[LENGTH];
};

static struct scheduler *scheduler;
static int n_changes;
static char events[64]; /* a letter each */
static size_t n_events;
static void note_event(void *context, const struct scheduler_event *event);

static void on_accepted(void *context, const struct sequence *sequence)
{
    struct client *client = context;
    client->steps = sequence->request.steps;
    client->estimated_seconds = sequence->request.estimated_seconds;
    client->n_accepted++;
}

static void on_frame(void *context, const struct sequence *sequence, const uint32_t *positions,
                     const uint32_t *ids, size_t n)
{
    struct client *client = context;
    (void)positions, (void)ids, (void)n;
    ck_assert_uint_eq(sequence->step, client->last_step + 1); /* never backwards, never one left out */
    client->last_step = sequence->step;
    client->n_frames++;
    memcpy(client->ids, sequence->request.ids, sizeof client->ids);
}

static void on_ended(void *context, const struct sequence *sequence, const struct ending *ending)
{
    struct client *client = context;
    (void)sequence;
    client->n_ended++;
    client->status = ending->status;
    strncpy(client->text, ending->text ? ending->text : "", sizeof client->text - 1);
}

static const struct client_sink sink = {on_accepted, on_frame, on_ended};

static void line_submit(void *context, const struct sequence *sequence)
{
    struct fake_line *line = context;
    line->n_submitted++;
    line->number = sequence->number;
    line->ticket = sequence->ticket;
    line->step = sequence->step;
    memcpy(line->ids, sequence->request.ids, sizeof line->ids);
}

static void line_cancel(void *context, uint64_t ticket)
{
    struct fake_line *line = context;
    line->n_cancelled++;
    line->cancelled = ticket;
}

static void line_drain(void *context)
{
    ((struct fake_line *)context)->n_drained++;
}

static void line_hang_up(void *context, enum status status, const char *text)
{
    (void)status, (void)text;
    ((struct fake_line *)context)->n_hung_up++;
}

static const struct replica_line operations = {line_submit, line_cancel, line_drain, line_hang_up};

static void count_change(void *context)
{
    (void)context;
    n_changes++;
}

static void set_up(void)
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
}

static void tear_down(void)
{
    scheduler_end_all(scheduler, "the test is over");
    scheduler_free(scheduler);
}

/* ---- helpers ---- */

static struct request make_request(int length)
{
    struct request request = {.length = length, .steps = STEPS, .seed = 1, .temperature = 1};
    request.ids = calloc((size_t)length, sizeof *request.ids);
    request.editable = malloc((size_t)length);
    memset(request.editable, 1, (size_t)length);
    request.editable[0] = 0;
    request.n_pinned = 1;
    return request;
}

static enum status accept_length(struct client *client, int length, struct error *error)
{
    struct request request = make_request(length);
    enum status status = scheduler_accept(scheduler, &request, &sink, client, &client->number, error);
    request_release(&request);
    return status;
}

static void accept(struct client *client)
{
    *client = (struct client){0};
    ck_assert_int_eq(accept_length(client, LENGTH, NULL), STATUS_OK);
    ck_assert_int_eq(client->n_accepted, 1);
}

static void attach(const char *name, struct fake_line *line)
{
    struct replica_hello hello = {name, "cpu", 2};
    *line = (struct fake_line){0};
    ck_assert_int_eq(scheduler_attach(scheduler, &hello, &operations, line, NULL), STATUS_OK);
}

static void attach_ready(const char *name, struct fake_line *line, int max_sequences)
{
    attach(name, line);
    const struct replica_capacity capacity = {.max_sequences = max_sequences, .max_tokens = 4 * LENGTH};
    scheduler_ready(scheduler, line, &capacity);
}

/* Step `step` changes position step to the id 10 + step. */
static enum status report(struct fake_line *line, uint64_t number, uint32_t step)
{
    uint32_t position = step, id = 10 + step;
    struct step_report step_report = {.ticket = number,
                                      .step = step,
                                      .n_changed = 1,
                                      .positions = &position,
                                      .ids = &id,
                                      .done = step == STEPS};
    return scheduler_report(scheduler, line, &step_report, NULL);
}

static void report_steps(struct fake_line *line, uint64_t number, uint32_t from, uint32_t to)
{
    for (uint32_t step = from; step <= to; step++)
        ck_assert_int_eq(report(line, number, step), STATUS_OK);
}

static struct scheduler_totals totals(void)
{
    struct scheduler_totals now;
    scheduler_totals(scheduler, &now);
    return now;
}

static void set_state_name(void *context, const struct replica *replica)
{
    *(const char **)context = replica_state_name(replica->state);
}

/* Of the only replica; NULL: there is none. */
static const char *only_state(void)
{
    const char *name = NULL;
    scheduler_each_replica(scheduler, set_state_name, &name);
    return name;
}

/* ---- tests; clients and lines are static, because the scheduler tells them about its end in tear_down ----
 */

START_TEST(a_request_lives_and_finishes)
{
    static struct client client;
    static struct fake_line line;
    accept(&client);
    ck_assert_uint_eq(totals().queued, 1); /* no replica yet: it waits */
    attach_ready("r0", &line, 4);
    ck_assert_uint_eq(line.number, client.number);
    ck_assert_uint_eq(totals().running, 1);
    report_steps(&line, client.number, 1, STEPS);
    ck_assert_int_eq(client.n_frames, STEPS);
    ck_assert_int_eq(client.n_ended, 1);
    ck_assert_int_eq(client.status, STATUS_OK);
    ck_assert_int_eq(client.ids[STEPS], 10 + STEPS);
    ck_assert_uint_eq(totals().finished, 1);
    ck_assert(scheduler_is_idle(scheduler));
    ck_assert_int_eq(report(&line, client.number, STEPS), STATUS_OK); /* late: nothing */
    ck_assert_int_eq(client.n_ended, 1);
}
END_TEST

START_TEST(requests_go_where_least_runs)
{
    static struct client clients[4];
    static struct fake_line one, other;
    attach_ready("r0", &one, 2);
    attach_ready("r1", &other, 2);
    for (int i = 0; i < 4; i++)
        accept(&clients[i]);
    ck_assert_int_eq(one.n_submitted, 2);
    ck_assert_int_eq(other.n_submitted, 2);
}
END_TEST

START_TEST(no_replica_is_overfilled)
{
    static struct client clients[5];
    static struct fake_line line;
    attach_ready("r0", &line, 100); /* 40 tokens: four of ten */
    for (int i = 0; i < 5; i++)
        accept(&clients[i]);
    ck_assert_int_eq(line.n_submitted, 4);
    report_steps(&line, clients[0].number, 1, STEPS);
    ck_assert_int_eq(line.n_submitted, 5);
    ck_assert_uint_eq(line.number, clients[4].number);
}
END_TEST

START_TEST(a_text_that_never_fits_fails)
{
    static struct client client = {0};
    static struct fake_line line;
    attach_ready("r0", &line, 4);
    ck_assert_int_eq(accept_length(&client, 4 * LENGTH + 1, NULL), STATUS_OK);
    ck_assert_int_eq(client.n_ended, 1);
    ck_assert_int_eq(client.status, STATUS_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(client.text, "41 positions"));
}
END_TEST

START_TEST(a_full_queue_refuses_with_a_hint)
{
    static struct client clients[4] = {0};
    struct error error;
    for (int i = 0; i < 3; i++)
        accept(&clients[i]);
    ck_assert_int_eq(accept_length(&clients[3], LENGTH, &error), STATUS_RESOURCE_EXHAUSTED);
    ck_assert_ptr_nonnull(strstr(error.text, "3 requests wait"));
    ck_assert_ptr_nonnull(strstr(error.text, "try again"));
    ck_assert_int_eq(clients[3].n_accepted + clients[3].n_ended, 0);
}
END_TEST

START_TEST(cancel_frees_the_place)
{
    static struct client clients[2];
    static struct fake_line line;
    attach_ready("r0", &line, 1);
    accept(&clients[0]);
    accept(&clients[1]);
    scheduler_cancel(scheduler, clients[0].number);
    ck_assert_int_eq(clients[0].n_ended, 1);
    ck_assert_int_eq(clients[0].status, STATUS_CANCELLED);
    ck_assert_uint_eq(line.cancelled, clients[0].number);
    ck_assert_uint_eq(line.number, clients[1].number);
    ck_assert_int_eq(report(&line, clients[0].number, 1), STATUS_OK); /* it was under way */
    ck_assert_int_eq(clients[0].n_frames, 0);
    scheduler_cancel(scheduler, clients[0].number);
    ck_assert_int_eq(clients[0].n_ended, 1);
}
END_TEST

START_TEST(a_lost_replica_hands_its_last_frame_on)
{
    static struct client clients[3];
    static struct fake_line lost, next;
    attach_ready("r0", &lost, 2);
    for (int i = 0; i < 3; i++)
        accept(&clients[i]); /* the third waits */
    report_steps(&lost, clients[0].number, 1, 2);
    scheduler_detach(scheduler, &lost, false, "its stream broke");
    ck_assert_uint_eq(totals().queued, 3);
    attach_ready("r1", &next, 1);
    ck_assert_uint_eq(next.number, clients[0].number); /* the front, in the old order */
    ck_assert_uint_eq(next.step, 2);
    ck_assert_int_eq(next.ids[1], 11);
    ck_assert_int_eq(next.ids[2], 12);
    ck_assert_int_eq(report(&lost, clients[0].number, 3), STATUS_OK); /* of a line that is gone: nothing */
    report_steps(&next, clients[0].number, 3, STEPS);
    ck_assert_int_eq(clients[0].status, STATUS_OK);
    ck_assert_int_eq(clients[0].n_ended, 1);
    ck_assert_uint_eq(next.number, clients[1].number);
}
END_TEST

START_TEST(a_request_that_kills_replicas_fails)
{
    static struct client client;
    static struct fake_line line;
    accept(&client);
    for (int i = 0; i < 6; i++) {
        ck_assert_int_eq(client.n_ended, 0);
        attach_ready("r0", &line, 1);
        scheduler_detach(scheduler, &line, false, "its stream broke");
    }
    ck_assert_int_eq(client.n_ended, 1);
    ck_assert_int_eq(client.status, STATUS_INTERNAL);
}
END_TEST

START_TEST(bad_reports_change_nothing)
{
    static struct client client;
    static struct fake_line line;
    uint32_t positions[] = {2, 1}, pinned = 0, far = LENGTH, ids[] = {1, N_IDS};
    attach_ready("r0", &line, 1);
    accept(&client);
    ck_assert_int_eq(report(&line, client.number, 2), STATUS_INVALID_ARGUMENT); /* a step left out */
    struct step_report bad = {client.number, 1, 2, positions, ids, 0, false, 0, 0, 0, NULL, 0, 0};
    ck_assert_int_eq(scheduler_report(scheduler, &line, &bad, NULL), STATUS_INVALID_ARGUMENT); /* order */
    bad = (struct step_report){client.number, 1, 1, &pinned, ids, 0, false, 0, 0, 0, NULL, 0, 0};
    ck_assert_int_eq(scheduler_report(scheduler, &line, &bad, NULL), STATUS_INVALID_ARGUMENT);
    bad = (struct step_report){client.number, 1, 1, &far, ids, 0, false, 0, 0, 0, NULL, 0, 0};
    ck_assert_int_eq(scheduler_report(scheduler, &line, &bad, NULL), STATUS_INVALID_ARGUMENT);
    bad = (struct step_report){client.number, 1, 1, positions, ids + 1, 0, false, 0, 0, 0, NULL, 0, 0};
    ck_assert_int_eq(scheduler_report(scheduler, &line, &bad, NULL), STATUS_INVALID_ARGUMENT); /* id */
    bad = (struct step_report){client.number, 1, 0, NULL, NULL, 0, true, 0, 0, 0, NULL, 0, 0};
    ck_assert_int_eq(scheduler_report(scheduler, &line, &bad, NULL),
                     STATUS_INVALID_ARGUMENT); /* done too soon */
    ck_assert_int_eq(client.n_frames, 0);
    report_steps(&line, client.number, 1, STEPS);
}
END_TEST

START_TEST(rejected_fails_or_moves_on)
{
    static struct client clients[2];
    static struct fake_line line, other;
    attach_ready("r0", &line, 1);
    accept(&clients[0]);
    accept(&clients[1]);
    scheduler_rejected(scheduler, &line, clients[0].number, STATUS_RESOURCE_EXHAUSTED, "too large for me");
    ck_assert_int_eq(clients[0].status, STATUS_RESOURCE_EXHAUSTED);
    ck_assert_str_eq(clients[0].text, "too large for me");
    ck_assert_uint_eq(line.number, clients[1].number);
    scheduler_rejected(scheduler, &line, clients[1].number, STATUS_UNAVAILABLE, "leaving");
    ck_assert_int_eq(clients[1].n_ended, 0);
    ck_assert_str_eq(only_state(), "draining");
    attach_ready("r1", &other, 1);
    ck_assert_uint_eq(other.number, clients[1].number);
}
END_TEST

/* What a replica says of the status is a stranger's word; only a client cancels. */
START_TEST(a_rejection_is_a_failure_whatever_it_says)
{
    static const unsigned said[] = {STATUS_OK, STATUS_CANCELLED, STATUS_UNAUTHENTICATED + 1, 0x80000000u,
                                    UINT32_MAX};
    static struct client client;
    static struct fake_line line;
    attach_ready("r0", &line, 1);
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
        accept(&client);
        scheduler_rejected(scheduler, &line, client.number, (enum status)said[i], "no");
        ck_assert_int_eq(client.status, STATUS_INTERNAL);
        ck_assert_uint_eq(totals().failed, i + 1);
    }
}
END_TEST

/* Pods have a new name each time: the lost ones of long ago make room, those that are there or ours do not. */
START_TEST(lost_outsiders_do_not_fill_the_table)
{
    static struct fake_line steady, passing, supervised;
    char name[16];
    scheduler_expect(scheduler, "ours");
    attach_ready("steady", &steady, 1);
    for (int i = 0; i < 3000; i++) {
        snprintf(name, sizeof name, "pod-%d", i);
        attach(name, &passing);
        scheduler_detach(scheduler, &passing, false, "lost");
    }
    ck_assert(scheduler_is_attached(scheduler, "steady"));
    ck_assert_int_le(scheduler->n_replicas, 1024);
    ck_assert_ptr_nonnull(replica_set_find(&scheduler->replicas, "pod-2999"));
    ck_assert_ptr_null(replica_set_find(&scheduler->replicas, "pod-0"));
    attach_ready("ours", &supervised, 1);
}
END_TEST

START_TEST(a_drained_replica_is_not_ready_again)
{
    static struct fake_line line;
    const struct replica_capacity capacity = {.max_sequences = 1, .max_tokens = LENGTH};
    attach_ready("r0", &line, 1);
    scheduler_leaving(scheduler, &line);
    scheduler_ready(scheduler, &line, &capacity);
    ck_assert_str_eq(only_state(), "draining");
}
END_TEST

/* Its line is gone, its process not yet: a restart that comes now is not too early. */
START_TEST(a_replica_on_its_way_down_can_be_released)
{
    static struct fake_line line;
    bool supervised;
    uint32_t left;
    scheduler_expect(scheduler, "r0");
    attach_ready("r0", &line, 1);
    ck_assert_int_eq(scheduler_drain(scheduler, "r0", false, &supervised, &left, NULL), STATUS_OK);
    scheduler_detach(scheduler, &line, true, "");
    ck_assert(scheduler_is_held(scheduler, "r0"));
    ck_assert_int_eq(scheduler_drain(scheduler, "r0", true, &supervised, &left, NULL), STATUS_OK);
    ck_assert(!scheduler_is_held(scheduler, "r0"));
    ck_assert(scheduler_take_drained(scheduler, "r0"));
    ck_assert_str_eq(only_state(), "starting");
    ck_assert_int_eq(scheduler_drain(scheduler, "r0", true, &supervised, &left, NULL),
                     STATUS_FAILED_PRECONDITION);
}
END_TEST

START_TEST(without_hope_requests_are_told_why)
{
    static struct client waiting, late = {0};
    struct error error;
    static struct fake_line line;
    char reason[256];
    accept(&waiting);
    ck_assert_int_eq(scheduler_outlook(scheduler, reason, sizeof reason), OUTLOOK_WAITING);
    attach("r0", &line);
    scheduler_load_failed(scheduler, &line, "model.safetensors is damaged");
    ck_assert_int_eq(waiting.status, STATUS_UNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(waiting.text, "model.safetensors is damaged"));
    scheduler_detach(scheduler, &line, true, "");
    ck_assert_int_eq(accept_length(&late, LENGTH, &error), STATUS_UNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(error.text, "model.safetensors is damaged"));
    ck_assert_int_eq(scheduler_outlook(scheduler, reason, sizeof reason), OUTLOOK_HOPELESS);
    ck_assert_str_eq(reason, "r0: model.safetensors is damaged");
    attach_ready("r0", &line, 1); /* repaired */
    ck_assert_int_eq(scheduler_outlook(scheduler, reason, sizeof reason), OUTLOOK_READY);
    accept(&late);
    ck_assert_int_eq(late.n_ended, 0);
}
END_TEST

START_TEST(a_restart_keeps_hope_until_given_up)
{
    static struct client client;
    static struct fake_line line;
    scheduler_expect(scheduler, "r0");
    attach_ready("r0", &line, 1);
    accept(&client);
    scheduler_detach(scheduler, &line, false, "its stream broke");
    ck_assert(scheduler_restarting(scheduler, "r0", "killed"));
    ck_assert(!scheduler_restarting(scheduler, "r0", "killed again")); /* it was not ready in between */
    ck_assert_int_eq(client.n_ended, 0);
    scheduler_give_up(scheduler, "r0", "it keeps dying");
    ck_assert_int_eq(client.status, STATUS_UNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(client.text, "it keeps dying"));
}
END_TEST

START_TEST(names_are_checked_and_unique)
{
    struct error error;
    static struct fake_line line, second;
    struct replica_hello hello = {"r0", "cpu", 1};
    attach("r0", &line);
    ck_assert_int_eq(scheduler_attach(scheduler, &hello, &operations, &second, &error),
                     STATUS_ALREADY_EXISTS);
    hello.name = "no/slash";
    ck_assert_int_eq(scheduler_attach(scheduler, &hello, &operations, &second, &error),
                     STATUS_INVALID_ARGUMENT);
    hello.name = "";
    ck_assert_int_eq(scheduler_attach(scheduler, &hello, &operations, &second, &error),
                     STATUS_INVALID_ARGUMENT);
    scheduler_detach(scheduler, &line, true, "");
    ck_assert_ptr_null(only_state()); /* an outsider that said goodbye is forgotten */
}
END_TEST

START_TEST(silence_is_noticed_only_with_work)
{
    static struct client client;
    static struct fake_line line;
    attach_ready("r0", &line, 1);
    scheduler_check_silence(scheduler); /* the limit is 0 seconds here */
    ck_assert_int_eq(line.n_hung_up, 0);
    accept(&client);
    scheduler_check_silence(scheduler);
    ck_assert_int_eq(line.n_hung_up, 1);
}
END_TEST

static struct replica *find_replica(const char *name)
{
    return replica_set_find(&scheduler->replicas, name);
}

static void pulse(struct fake_line *line, uint64_t progress)
{
    const struct replica_pulse said = {.progress = progress};
    scheduler_pulse(scheduler, line, &said);
}

START_TEST(how_long_a_replica_may_stand_still)
{
    struct replica replica = {.state = REPLICA_READY, .heard_at = 100, .progressed_at = 50};
    ck_assert(isinf(scheduler_silent_until(&replica, 10))); /* from before there were pulses, and idle */
    replica.running.n = 1;
    ck_assert_double_eq(scheduler_silent_until(&replica, 10), 100 + 10 * SCHEDULER_PATIENCE);
    replica.pulses = true;
    ck_assert_double_eq(scheduler_silent_until(&replica, 10), 61); /* 1: between two pulses */
    replica.running.n = 0;
    ck_assert_double_eq(scheduler_silent_until(&replica, 10), 61);
    replica.state = REPLICA_STARTING;
    ck_assert_double_eq(scheduler_silent_until(&replica, 10), 51 + 10 * SCHEDULER_PATIENCE);
}
END_TEST

START_TEST(a_pulse_counts_only_when_it_moves)
{
    static struct fake_line line;
    attach_ready("r0", &line, 1);
    struct replica *replica = find_replica("r0");
    pulse(&line, 7);
    replica->progressed_at = 1;
    pulse(&line, 7);
    ck_assert_double_eq(replica->progressed_at, 1);
    pulse(&line, 8);
    ck_assert_double_gt(replica->progressed_at, 1);
    ck_assert_uint_eq(replica->pulse.progress, 8);
}
END_TEST

START_TEST(a_replica_that_hangs_loses_its_sequences_at_once)
{
    static struct client client;
    static struct fake_line hanging, other;
    struct replica *replica;
    scheduler->options.silence_seconds = 1000;
    attach_ready("r0", &hanging, 1);
    accept(&client);
    pulse(&hanging, 7);
    scheduler_expect(scheduler, "r0");
    attach_ready("r1", &other, 1);
    scheduler_check_silence(scheduler);
    ck_assert_int_eq(hanging.n_hung_up, 0);
    replica = find_replica("r0");
    replica->progressed_at -= 1002;
    scheduler_check_silence(scheduler);
    ck_assert_int_eq(hanging.n_hung_up, 1);
    ck_assert_int_eq(other.n_submitted, 1); /* although the line has not ended */
    ck_assert(!scheduler_is_attached(scheduler, "r0"));
    ck_assert(scheduler_take_stuck(scheduler, "r0"));
    ck_assert(!scheduler_take_stuck(scheduler, "r0"));
    scheduler_detach(scheduler, &hanging, false, "its stream broke");
    ck_assert_str_ne(replica->last_error, "its stream broke");
    report_steps(&other, client.number, 1, STEPS);
    ck_assert_int_eq(client.status, STATUS_OK);
}
END_TEST

START_TEST(no_replica_is_blamed_while_we_were_stopped)
{
    static struct fake_line line;
    scheduler->options.silence_seconds = 10;
    attach_ready("r0", &line, 1);
    pulse(&line, 7);
    scheduler_check_silence(scheduler);
    scheduler->checked_at -= 60; /* it was long ago */
    find_replica("r0")->progressed_at -= 65;
    scheduler_check_silence(scheduler);
    ck_assert_int_eq(line.n_hung_up, 0); /* 5 seconds, not 65 */
    find_replica("r0")->progressed_at -= 7;
    scheduler_check_silence(scheduler);
    ck_assert_int_eq(line.n_hung_up, 1);
}
END_TEST

START_TEST(shutting_down_refuses_then_ends)
{
    static struct client running, late = {0};
    struct error error;
    static struct fake_line line;
    attach_ready("r0", &line, 1);
    accept(&running);
    scheduler_refuse_new(scheduler);
    ck_assert_int_eq(accept_length(&late, LENGTH, &error), STATUS_UNAVAILABLE);
    report_steps(&line, running.number, 1, 1); /* what was accepted goes on */
    ck_assert(!scheduler_is_idle(scheduler));
    scheduler_end_all(scheduler, "time is over");
    ck_assert_int_eq(running.n_ended, 1);
    ck_assert_int_eq(running.status, STATUS_UNAVAILABLE);
    ck_assert_uint_eq(line.cancelled, running.number);
    ck_assert(scheduler_is_idle(scheduler));
    scheduler_drain_replicas(scheduler);
    ck_assert_int_eq(line.n_drained, 1);
}
END_TEST

START_TEST(totals_add_up)
{
    static struct client clients[3];
    static struct fake_line line;
    attach_ready("r0", &line, 1);
    for (int i = 0; i < 3; i++)
        accept(&clients[i]);
    report_steps(&line, clients[0].number, 1, STEPS);
    scheduler_cancel(scheduler, clients[2].number);
    scheduler_rejected(scheduler, &line, clients[1].number, STATUS_INTERNAL, "broken");
    struct scheduler_totals now = totals();
    ck_assert_uint_eq(now.accepted, 3);
    ck_assert_uint_eq(now.finished, 1);
    ck_assert_uint_eq(now.cancelled, 1);
    ck_assert_uint_eq(now.failed, 1);
    ck_assert_uint_eq(now.queued + now.running, 0);
    ck_assert_int_gt(n_changes, 0); /* ready, and idle in the end */
}
END_TEST

/* ---- classes, limits, deadlines ---- */

static enum status accept_with(struct client *client, enum request_class class, int length,
                               struct request_terms terms, int steps_least, struct error *error)
{
    struct request request = make_request(length);
    request.class = class;
    request.terms = terms;
    request.steps_least = steps_least;
    request.steps_default = STEPS;
    *client = (struct client){0};
    enum status status = scheduler_accept(scheduler, &request, &sink, client, &client->number, error);
    request_release(&request);
    return status;
}

static void accept_class(struct client *client, enum request_class class)
{
    struct error error;
    enum status status = accept_with(client, class, LENGTH, (struct request_terms){0}, 0, &error);
    ck_assert_msg(status == STATUS_OK, "%s", status == STATUS_OK ? "" : error.text);
}

/* Reports a step as a replica does that says how large its batch was and how long it took. */
static void report_measured(struct fake_line *line, uint64_t ticket, uint32_t step, int64_t tokens,
                            double seconds)
{
    uint32_t position = step, id = 10 + step;
    struct step_report step_report = {.ticket = ticket,
                                      .step = step,
                                      .n_changed = 1,
                                      .positions = &position,
                                      .ids = &id,
                                      .done = step == STEPS,
                                      .step_ms = 1e3 * seconds,
                                      .batch_step = ++line->batch_step,
                                      .batch_tokens = tokens};
    ck_assert_int_eq(scheduler_report(scheduler, line, &step_report, NULL), STATUS_OK);
}

/* A replica of four places whose steps take a second, whatever their size, and which runs nothing. */
static void attach_measured(struct fake_line *line)
{
    static struct client first;
    attach_ready("r0", line, 4);
    accept_class(&first, CLASS_NORMAL);
    for (uint32_t step = 1; step <= STEPS; step++)
        report_measured(line, first.number, step, step % 2 ? 4 * LENGTH : LENGTH, 1);
    ck_assert_int_eq(first.n_ended, 1);
}

static struct request_terms by(double seconds)
{
    return (struct request_terms){.deadline_at = clock_seconds() + seconds};
}

START_TEST(a_higher_class_takes_the_place_and_gives_it_back)
{
    static struct client low, high;
    static struct fake_line line;
    attach_ready("r0", &line, 1);
    accept_class(&low, CLASS_LOW);
    report_steps(&line, low.number, 1, 1);
    accept_class(&high, CLASS_HIGH);
    ck_assert_uint_eq(line.cancelled, low.number);
    ck_assert_uint_eq(line.number, high.number);
    ck_assert_uint_eq(totals().preempted, 1);
    report_steps(&line, low.number, 2, 2); /* the step that was under way is not lost */
    ck_assert_uint_eq(low.last_step, 2);
    report_steps(&line, high.number, 1, STEPS);
    ck_assert_int_eq(high.status, STATUS_OK);
    ck_assert_uint_eq(line.number, low.number);
    ck_assert_uint_eq(line.step, 2);
    ck_assert_uint_ne(line.ticket, low.number); /* so that nothing old is taken for something new: */
    ck_assert_int_eq(report(&line, low.number, 3), STATUS_OK);
    ck_assert_uint_eq(low.last_step, 2);
    report_steps(&line, line.ticket, 3, STEPS);
    ck_assert_int_eq(low.n_ended, 1);
    ck_assert_int_eq(low.status, STATUS_OK);
}
END_TEST

START_TEST(a_last_step_under_way_ends_the_request)
{
    static struct client low, high;
    static struct fake_line line;
    attach_ready("r0", &line, 1);
    accept_class(&low, CLASS_LOW);
    report_steps(&line, low.number, 1, STEPS - 1);
    accept_class(&high, CLASS_HIGH);
    report_steps(&line, low.number, STEPS, STEPS);
    ck_assert_int_eq(low.n_ended, 1);
    ck_assert_int_eq(low.status, STATUS_OK);
    ck_assert_uint_eq(totals().queued, 0);
    report_steps(&line, high.number, 1, STEPS);
}
END_TEST

START_TEST(the_place_of_one_that_ends_is_filled_ahead)
{
    static struct client clients[2];
    static struct fake_line line;
    const struct replica_capacity capacity = {
        .max_sequences = 1, .max_tokens = LENGTH, .held_sequences = 1, .held_tokens = LENGTH};
    attach("r0", &line);
    scheduler_ready(scheduler, &line, &capacity);
    for (int i = 0; i < 2; i++)
        accept(&clients[i]);
    report_steps(&line, clients[0].number, 1, STEPS - 2);
    ck_assert_int_eq(line.n_submitted, 1);
    report_steps(&line, clients[0].number, STEPS - 1, STEPS - 1);
    ck_assert_int_eq(line.n_submitted, 2);
    report_steps(&line, clients[0].number, STEPS, STEPS);
    report_steps(&line, clients[1].number, 1, STEPS);
}
END_TEST

START_TEST(low_ones_do_not_keep_high_ones_out)
{
    static struct client low[4], high;
    struct error error;
    for (int i = 0; i < 3; i++)
        accept_class(&low[i], CLASS_LOW);
    ck_assert_int_eq(accept_with(&low[3], CLASS_LOW, LENGTH, (struct request_terms){0}, 0, &error),
                     STATUS_RESOURCE_EXHAUSTED);
    ck_assert_int_eq(error.retry_after_ms, 1000); /* nothing is measured */
    accept_class(&high, CLASS_HIGH);
    ck_assert_uint_eq(totals().refused[REFUSED_QUEUE_REQUESTS], 1);
}
END_TEST

START_TEST(the_queue_is_bounded_in_tokens)
{
    static struct client clients[2];
    struct error error;
    ck_assert_int_eq(accept_length(&clients[0], 60, NULL), STATUS_OK);
    ck_assert_int_eq(accept_length(&clients[1], 41, &error), STATUS_RESOURCE_EXHAUSTED);
    ck_assert_ptr_nonnull(strstr(error.text, "--max-queue-tokens 100"));
    ck_assert_int_gt(error.retry_after_ms, 0);
    ck_assert_uint_eq(totals().refused[REFUSED_QUEUE_TOKENS], 1);
    ck_assert_int_eq(accept_length(&clients[1], 40, &error), STATUS_OK);
}
END_TEST

START_TEST(one_client_has_its_limits)
{
    static struct client clients[5];
    struct error error;
    struct request_terms ann = {.caller = "ann", .max_requests = 2},
                         bob = {.caller = "bob", .max_tokens = 15}, any = {.caller = "any"};
    ck_assert_int_eq(accept_with(&clients[0], CLASS_NORMAL, 10, ann, 0, NULL), STATUS_OK);
    ck_assert_int_eq(accept_with(&clients[1], CLASS_NORMAL, 10, ann, 0, NULL), STATUS_OK);
    ck_assert_int_eq(accept_with(&clients[2], CLASS_HIGH, 10, ann, 0, &error), STATUS_RESOURCE_EXHAUSTED);
    ck_assert_ptr_nonnull(strstr(error.text, "ann"));
    ck_assert_int_gt(error.retry_after_ms, 0);
    ck_assert_int_eq(accept_with(&clients[2], CLASS_HIGH, 16, bob, 0, &error), STATUS_INVALID_ARGUMENT);
    ck_assert_int_eq(accept_with(&clients[2], CLASS_HIGH, 10, bob, 0, NULL), STATUS_OK);
    ck_assert_int_eq(accept_with(&clients[3], CLASS_HIGH, 6, bob, 0, &error), STATUS_RESOURCE_EXHAUSTED);
    ck_assert_int_eq(accept_with(&clients[3], CLASS_HIGH, 1001, any, 0, &error), STATUS_INVALID_ARGUMENT);
    scheduler_cancel(scheduler, clients[0].number);
    scheduler_cancel(scheduler, clients[1].number);
    ck_assert_int_eq(accept_with(&clients[3], CLASS_NORMAL, 10, ann, 0, NULL), STATUS_OK);
    ck_assert_int_eq(accept_with(&clients[4], CLASS_NORMAL, 10, ann, 0, NULL), STATUS_OK);
    ck_assert_uint_eq(totals().refused[REFUSED_CLIENT], 4);
}
END_TEST

START_TEST(who_cannot_finish_in_time_is_told_at_once)
{
    static struct client client;
    static struct fake_line line;
    struct error error;
    ck_assert_int_eq(accept_with(&client, CLASS_NORMAL, LENGTH, by(0.01), 0, NULL),
                     STATUS_OK); /* not measured */
    scheduler_cancel(scheduler, client.number);
    attach_measured(&line);
    ck_assert_int_eq(accept_with(&client, CLASS_NORMAL, LENGTH, by(2.5), 0, &error),
                     STATUS_DEADLINE_EXCEEDED);
    ck_assert_ptr_nonnull(strstr(error.text, "4 steps"));
    ck_assert_uint_eq(totals().refused[REFUSED_DEADLINE], 1);
    ck_assert_int_eq(accept_with(&client, CLASS_NORMAL, LENGTH, by(4.5), 0, NULL), STATUS_OK);
    ck_assert_double_eq_tol(client.estimated_seconds, 4, 0.1);
}
END_TEST

START_TEST(automatic_steps_fit_the_time)
{
    static struct client clients[4];
    static struct fake_line line;
    struct error error;
    attach_measured(&line);
    const struct {
        double seconds;
        int steps;
    } cases[] = {{100, 4}, {5, 4}, {4.5, 2}, {2.5, 2}, {2.3, 1}, {1.0, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_int_eq(accept_with(&clients[0], CLASS_NORMAL, LENGTH, by(cases[i].seconds), 1, NULL),
                         STATUS_OK);
        ck_assert_int_eq(clients[0].steps, cases[i].steps);
        scheduler_cancel(scheduler, clients[0].number);
    }
    ck_assert_int_eq(accept_with(&clients[0], CLASS_NORMAL, LENGTH, by(1.5), 2, &error),
                     STATUS_DEADLINE_EXCEEDED); /* 2 at least */
    ck_assert_int_eq(accept_with(&clients[0], CLASS_NORMAL, LENGTH, (struct request_terms){0}, 1, NULL),
                     STATUS_OK);
    ck_assert_int_eq(clients[0].steps, 4); /* no deadline: the most */
}
END_TEST

START_TEST(waiting_counts_in_the_estimate)
{
    static struct client clients[5], late;
    static struct fake_line line;
    attach_measured(&line);
    for (int i = 0; i < 4; i++)
        accept_class(&clients[i], CLASS_NORMAL); /* four seconds, all places */
    accept_class(&clients[4], CLASS_NORMAL);
    ck_assert_double_eq_tol(clients[4].estimated_seconds, 8, 0.5);
    ck_assert_int_eq(accept_with(&late, CLASS_NORMAL, LENGTH, by(5), 0, NULL), STATUS_DEADLINE_EXCEEDED);
    ck_assert_int_eq(accept_with(&late, CLASS_HIGH, LENGTH, by(5), 0, NULL),
                     STATUS_OK); /* somebody gives way */
    ck_assert_uint_eq(totals().preempted, 1);
}
END_TEST

START_TEST(work_that_waits_counts_in_the_estimate)
{
    static struct client clients[4], large[2], late;
    static struct fake_line line;
    attach_measured(&line);
    for (int i = 0; i < 4; i++)
        accept_class(&clients[i], CLASS_NORMAL);
    for (int i = 0; i < 2; i++) /* 240 positions and steps, and 40 are done in a second */
        ck_assert_int_eq(accept_with(&large[i], CLASS_NORMAL, 3 * LENGTH, (struct request_terms){0}, 0, NULL),
                         STATUS_OK);
    accept_class(&late, CLASS_NORMAL);
    ck_assert_double_eq_tol(late.estimated_seconds, 6 + 4, 0.5);
}
END_TEST

static void note_event(void *context, const struct scheduler_event *event)
{
    (void)context;
    static const char letters[] = {[EVENT_ACCEPTED] = 'a',    [EVENT_REFUSED] = 'r', [EVENT_STARTED] = 's',
                                   [EVENT_FIRST_FRAME] = 'f', [EVENT_STEP] = '.',    [EVENT_PREEMPTED] = 'p',
                                   [EVENT_MOVED] = 'm',       [EVENT_LOST] = 'l',    [EVENT_ENDED] = 'e'};
    events[n_events++ % (sizeof events - 1)] = letters[event->kind];
}

START_TEST(an_observer_hears_of_everything)
{
    static struct client client;
    static struct fake_line line;
    n_events = 0;
    memset(events, 0, sizeof events);
    attach_ready("r0", &line, 1);
    accept(&client);
    report_steps(&line, client.number, 1, 2);
    scheduler_detach(scheduler, &line, false, "its stream broke");
    attach_ready("r1", &line, 1);
    report_steps(&line, client.number, 3, STEPS);
    scheduler_refuse_new(scheduler);
    accept_length(&client, LENGTH, NULL);
    ck_assert_str_eq(events, "asf..ls..er");
}
END_TEST

START_TEST(ten_thousand_cancelled_requests_leave_nothing)
{
    static struct client client;
    static struct fake_line line;
    attach_ready("r0", &line, 4);
    for (int i = 0; i < 10000; i++) {
        accept_class(&client, (enum request_class)(i % CLASS_COUNT));
        report_steps(&line, line.ticket, 1, (uint32_t)i % STEPS);
        scheduler_cancel(scheduler, client.number);
    }
    ck_assert(scheduler_is_idle(scheduler)); /* what the address sanitizer says is the test's other half */
    ck_assert_uint_eq(totals().cancelled, 10000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("scheduler");
    TCase *cases = tcase_create("scheduler");
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_test(cases, a_request_lives_and_finishes);
    tcase_add_test(cases, requests_go_where_least_runs);
    tcase_add_test(cases, no_replica_is_overfilled);
    tcase_add_test(cases, a_text_that_never_fits_fails);
    tcase_add_test(cases, a_full_queue_refuses_with_a_hint);
    tcase_add_test(cases, cancel_frees_the_place);
    tcase_add_test(cases, a_lost_replica_hands_its_last_frame_on);
    tcase_add_test(cases, a_request_that_kills_replicas_fails);
    tcase_add_test(cases, bad_reports_change_nothing);
    tcase_add_test(cases, rejected_fails_or_moves_on);
    tcase_add_test(cases, a_rejection_is_a_failure_whatever_it_says);
    tcase_add_test(cases, lost_outsiders_do_not_fill_the_table);
    tcase_add_test(cases, a_drained_replica_is_not_ready_again);
    tcase_add_test(cases, a_replica_on_its_way_down_can_be_released);
    tcase_add_test(cases, without_hope_requests_are_told_why);
    tcase_add_test(cases, a_restart_keeps_hope_until_given_up);
    tcase_add_test(cases, names_are_checked_and_unique);
    tcase_add_test(cases, silence_is_noticed_only_with_work);
    tcase_add_test(cases, how_long_a_replica_may_stand_still);
    tcase_add_test(cases, a_pulse_counts_only_when_it_moves);
    tcase_add_test(cases, a_replica_that_hangs_loses_its_sequences_at_once);
    tcase_add_test(cases, no_replica_is_blamed_while_we_were_stopped);
    tcase_add_test(cases, shutting_down_refuses_then_ends);
    tcase_add_test(cases, totals_add_up);
    tcase_add_test(cases, a_higher_class_takes_the_place_and_gives_it_back);
    tcase_add_test(cases, a_last_step_under_way_ends_the_request);
    tcase_add_test(cases, the_place_of_one_that_ends_is_filled_ahead);
    tcase_add_test(cases, low_ones_do_not_keep_high_ones_out);
    tcase_add_test(cases, the_queue_is_bounded_in_tokens);
    tcase_add_test(cases, one_client_has_its_limits);
    tcase_add_test(cases, who_cannot_finish_in_time_is_told_at_once);
    tcase_add_test(cases, automatic_steps_fit_the_time);
    tcase_add_test(cases, waiting_counts_in_the_estimate);
    tcase_add_test(cases, work_that_waits_counts_in_the_estimate);
    tcase_add_test(cases, an_observer_hears_of_everything);
    tcase_add_test(cases, ten_thousand_cancelled_requests_leave_nothing);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
