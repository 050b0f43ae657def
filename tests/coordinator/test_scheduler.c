/* The scheduler alone: clients and replicas are structs that write down what they are told. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "coordinator/scheduler_state.h"

enum { LENGTH = 10, N_IDS = 100, STEPS = 4 };

/* A client that remembers. */
struct client {
    uint64_t number;
    int n_accepted, n_frames, n_ended;
    uint32_t last_step;
    enum status status;
    char text[256];
    int32_t ids[LENGTH];
};

/* A replica that remembers what was submitted last, and how much. */
struct fake_line {
    int n_submitted, n_cancelled, n_drained, n_hung_up;
    uint64_t number, cancelled;
    uint32_t step;
    int32_t ids[LENGTH];
};

static struct scheduler *scheduler;
static int n_changes;

static void on_accepted(void *context, const struct sequence *sequence)
{
    struct client *client = context;
    (void)sequence;
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
    line->step = sequence->step;
    memcpy(line->ids, sequence->request.ids, sizeof line->ids);
}

static void line_cancel(void *context, uint64_t number)
{
    struct fake_line *line = context;
    line->n_cancelled++;
    line->cancelled = number;
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
    const struct scheduler_options options = {
        .max_queue = 3, .n_ids = N_IDS, .silence_seconds = 0, .changed = count_change};
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
    ck_assert_double_eq(scheduler_silent_until(&replica, 10), 60);
    replica.running.n = 0;
    ck_assert_double_eq(scheduler_silent_until(&replica, 10), 60);
    replica.state = REPLICA_STARTING;
    ck_assert_double_eq(scheduler_silent_until(&replica, 10), 50 + 10 * SCHEDULER_PATIENCE);
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
    replica->progressed_at -= 1001;
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
    find_replica("r0")->progressed_at -= 6;
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
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
