/* From the queue to the end: where a request goes, and what its client and others hear of it. */
#include <stdlib.h>
#include <string.h>

#include "tests/coordinator/scheduler/scheduler_fixture.h"

START_TEST(a_request_lives_and_finishes)
{
    static struct client client;
    static struct fake_connection connection;
    accept_request(&client);
    ck_assert_uint_eq(totals().queued, 1); /* no replica yet: it waits */
    attach_ready("r0", &connection, 4);
    ck_assert_uint_eq(connection.number, client.number);
    ck_assert_uint_eq(totals().running, 1);
    report_steps(&connection, client.number, 1, STEPS);
    ck_assert_int_eq(client.n_frames, STEPS);
    ck_assert_int_eq(client.n_ended, 1);
    ck_assert_int_eq(client.status, STATUS_OK);
    ck_assert_int_eq(client.ids[STEPS], 10 + STEPS);
    ck_assert_uint_eq(totals().finished, 1);
    ck_assert(scheduler_is_idle(scheduler));
    ck_assert_int_eq(report(&connection, client.number, STEPS), STATUS_OK); /* late: nothing */
    ck_assert_int_eq(client.n_ended, 1);
}
END_TEST

START_TEST(requests_go_where_least_runs)
{
    static struct client clients[4];
    static struct fake_connection one, other;
    attach_ready("r0", &one, 2);
    attach_ready("r1", &other, 2);
    for (int i = 0; i < 4; i++)
        accept_request(&clients[i]);
    ck_assert_int_eq(one.n_submitted, 2);
    ck_assert_int_eq(other.n_submitted, 2);
}
END_TEST

START_TEST(no_replica_is_overfilled)
{
    static struct client clients[5];
    static struct fake_connection connection;
    attach_ready("r0", &connection, 100); /* 40 tokens: four of ten */
    for (int i = 0; i < 5; i++)
        accept_request(&clients[i]);
    ck_assert_int_eq(connection.n_submitted, 4);
    report_steps(&connection, clients[0].number, 1, STEPS);
    ck_assert_int_eq(connection.n_submitted, 5);
    ck_assert_uint_eq(connection.number, clients[4].number);
}
END_TEST

START_TEST(a_text_that_never_fits_fails)
{
    static struct client client = {0};
    static struct fake_connection connection;
    attach_ready("r0", &connection, 4);
    ck_assert_int_eq(accept_length(&client, 4 * LENGTH + 1, NULL), STATUS_OK);
    ck_assert_int_eq(client.n_ended, 1);
    ck_assert_int_eq(client.status, STATUS_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(client.text, "41 positions"));
}
END_TEST

START_TEST(cancel_frees_the_place)
{
    static struct client clients[2];
    static struct fake_connection connection;
    attach_ready("r0", &connection, 1);
    accept_request(&clients[0]);
    accept_request(&clients[1]);
    scheduler_cancel(scheduler, clients[0].number);
    ck_assert_int_eq(clients[0].n_ended, 1);
    ck_assert_int_eq(clients[0].status, STATUS_CANCELLED);
    ck_assert_uint_eq(connection.cancelled, clients[0].number);
    ck_assert_uint_eq(connection.number, clients[1].number);
    ck_assert_int_eq(report(&connection, clients[0].number, 1), STATUS_OK); /* it was under way */
    ck_assert_int_eq(clients[0].n_frames, 0);
    scheduler_cancel(scheduler, clients[0].number);
    ck_assert_int_eq(clients[0].n_ended, 1);
}
END_TEST

START_TEST(a_request_that_kills_replicas_fails)
{
    static struct client client;
    static struct fake_connection connection;
    accept_request(&client);
    for (int i = 0; i < 6; i++) {
        ck_assert_int_eq(client.n_ended, 0);
        attach_ready("r0", &connection, 1);
        scheduler_detach(scheduler, &connection, false, "its stream broke");
    }
    ck_assert_int_eq(client.n_ended, 1);
    ck_assert_int_eq(client.status, STATUS_INTERNAL);
}
END_TEST

START_TEST(bad_reports_change_nothing)
{
    static struct client client;
    static struct fake_connection connection;
    uint32_t positions[] = {2, 1}, pinned = 0, far = LENGTH, ids[] = {1, N_IDS};
    attach_ready("r0", &connection, 1);
    accept_request(&client);
    ck_assert_int_eq(report(&connection, client.number, 2), STATUS_INVALID_ARGUMENT); /* a step left out */
    struct step_report bad = {
        .ticket = client.number, .step = 1, .n_changed = 2, .positions = positions, .ids = ids};
    ck_assert_int_eq(scheduler_report(scheduler, &connection, &bad, NULL),
                     STATUS_INVALID_ARGUMENT); /* order */
    bad = (struct step_report){
        .ticket = client.number, .step = 1, .n_changed = 1, .positions = &pinned, .ids = ids};
    ck_assert_int_eq(scheduler_report(scheduler, &connection, &bad, NULL), STATUS_INVALID_ARGUMENT);
    bad = (struct step_report){
        .ticket = client.number, .step = 1, .n_changed = 1, .positions = &far, .ids = ids};
    ck_assert_int_eq(scheduler_report(scheduler, &connection, &bad, NULL), STATUS_INVALID_ARGUMENT);
    bad = (struct step_report){
        .ticket = client.number, .step = 1, .n_changed = 1, .positions = positions, .ids = ids + 1};
    ck_assert_int_eq(scheduler_report(scheduler, &connection, &bad, NULL), STATUS_INVALID_ARGUMENT); /* id */
    bad = (struct step_report){.ticket = client.number,
                               .step = 1,
                               .n_changed = 1,
                               .positions = positions,
                               .ids = ids,
                               .log_probabilities = &(float){NAN}};
    ck_assert_int_eq(scheduler_report(scheduler, &connection, &bad, NULL), STATUS_INVALID_ARGUMENT);
    bad = (struct step_report){.ticket = client.number, .step = 1, .done = true};
    ck_assert_int_eq(scheduler_report(scheduler, &connection, &bad, NULL),
                     STATUS_INVALID_ARGUMENT); /* done too soon */
    ck_assert_int_eq(client.n_frames, 0);
    report_steps(&connection, client.number, 1, STEPS);
}
END_TEST

START_TEST(rejected_fails_or_moves_on)
{
    static struct client clients[2];
    static struct fake_connection connection, other;
    attach_ready("r0", &connection, 1);
    accept_request(&clients[0]);
    accept_request(&clients[1]);
    scheduler_rejected(scheduler, &connection, clients[0].number, STATUS_RESOURCE_EXHAUSTED,
                       "too large for me");
    ck_assert_int_eq(clients[0].status, STATUS_RESOURCE_EXHAUSTED);
    ck_assert_str_eq(clients[0].text, "too large for me");
    ck_assert_uint_eq(connection.number, clients[1].number);
    scheduler_rejected(scheduler, &connection, clients[1].number, STATUS_UNAVAILABLE, "leaving");
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
    static struct fake_connection connection;
    attach_ready("r0", &connection, 1);
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
        accept_request(&client);
        scheduler_rejected(scheduler, &connection, client.number, (enum status)said[i], "no");
        ck_assert_int_eq(client.status, STATUS_INTERNAL);
        ck_assert_uint_eq(totals().failed, i + 1);
    }
}
END_TEST

START_TEST(shutting_down_refuses_then_ends)
{
    static struct client running, late = {0};
    struct error error;
    static struct fake_connection connection;
    attach_ready("r0", &connection, 1);
    accept_request(&running);
    scheduler_refuse_new(scheduler);
    ck_assert_int_eq(accept_length(&late, LENGTH, &error), STATUS_UNAVAILABLE);
    report_steps(&connection, running.number, 1, 1); /* what was accepted goes on */
    ck_assert(!scheduler_is_idle(scheduler));
    scheduler_end_all(scheduler, "time is over");
    ck_assert_int_eq(running.n_ended, 1);
    ck_assert_int_eq(running.status, STATUS_UNAVAILABLE);
    ck_assert_uint_eq(connection.cancelled, running.number);
    ck_assert(scheduler_is_idle(scheduler));
}
END_TEST

START_TEST(totals_add_up)
{
    static struct client clients[3];
    static struct fake_connection connection;
    attach_ready("r0", &connection, 1);
    for (int i = 0; i < 3; i++)
        accept_request(&clients[i]);
    report_steps(&connection, clients[0].number, 1, STEPS);
    scheduler_cancel(scheduler, clients[2].number);
    scheduler_rejected(scheduler, &connection, clients[1].number, STATUS_INTERNAL, "broken");
    struct scheduler_totals now = totals();
    ck_assert_uint_eq(now.accepted, 3);
    ck_assert_uint_eq(now.finished, 1);
    ck_assert_uint_eq(now.cancelled, 1);
    ck_assert_uint_eq(now.failed, 1);
    ck_assert_uint_eq(now.queued + now.running, 0);
    ck_assert_int_gt(n_changes, 0); /* ready, and idle in the end */
}
END_TEST

START_TEST(an_observer_hears_of_everything)
{
    static struct client client;
    static struct fake_connection connection;
    attach_ready("r0", &connection, 1);
    accept_request(&client);
    report_steps(&connection, client.number, 1, 2);
    scheduler_detach(scheduler, &connection, false, "its stream broke");
    attach_ready("r1", &connection, 1);
    report_steps(&connection, client.number, 3, STEPS);
    scheduler_refuse_new(scheduler);
    accept_length(&client, LENGTH, NULL);
    ck_assert_str_eq(events, "asf..ls..er");
}
END_TEST

START_TEST(ten_thousand_cancelled_requests_leave_nothing)
{
    static struct client client;
    static struct fake_connection connection;
    attach_ready("r0", &connection, 4);
    for (int i = 0; i < 10000; i++) {
        accept_class(&client, (enum request_class)(i % CLASS_COUNT));
        report_steps(&connection, connection.ticket, 1, (uint32_t)i % STEPS);
        scheduler_cancel(scheduler, client.number);
    }
    ck_assert(scheduler_is_idle(scheduler)); /* what the address sanitizer says is the test's other half */
    ck_assert_uint_eq(totals().cancelled, 10000);
}
END_TEST

/* ---- a request of two runs; rules that only tests have ---- */

static const struct run *first_wins(const struct request *request, const struct run *finished)
{
    (void)request;
    return finished;
}

static const struct run *all_must_finish(const struct request *request, const struct run *finished)
{
    for (int i = 0; i < request->n_runs; i++) {
        if (run_steps_left(&request->runs[i]))
            return NULL;
    }
    return finished;
}

static void accept_two(struct client *client, const struct request_rule *rule)
{
    *client = (struct client){.hears_several = true};
    struct request *request = make_request(&(struct request_terms){.caller = "group"}, LENGTH, 0);
    struct request *other = make_request(&request->terms, LENGTH, 0);
    request->runs = realloc(request->runs, 2 * sizeof *request->runs);
    ck_assert_ptr_nonnull(request->runs);
    request->runs[1] = other->runs[0];
    request->runs[1].request = request;
    request->n_runs = 2;
    request->rule = rule;
    other->n_runs = 0; /* its run has moved */
    request_free(other);
    ck_assert_int_eq(accept_made(client, request, NULL), STATUS_OK);
}

START_TEST(a_rule_may_want_all_runs)
{
    static struct client client;
    static struct fake_connection connection;
    const struct request_rule rule = {all_must_finish};
    attach_ready("r0", &connection, 4);
    accept_two(&client, &rule);
    ck_assert_int_eq(connection.n_submitted, 2);
    ck_assert_uint_eq(totals().running, 2);
    ck_assert_int_eq(accounts_find(&scheduler->accounts, "group")->n_tokens, 2 * LENGTH);
    report_steps(&connection, client.number, 1, STEPS);
    ck_assert_int_eq(client.n_ended, 0); /* one has finished, and the other goes on */
    ck_assert_uint_eq(totals().running_tokens, LENGTH);
    report_steps(&connection, client.number + 1, 1, STEPS);
    ck_assert_int_eq(client.n_ended, 1);
    ck_assert_int_eq(client.status, STATUS_OK);
    ck_assert_int_eq(connection.n_cancelled, 0);
    ck_assert_uint_eq(totals().accepted, 1);
    ck_assert_uint_eq(totals().finished, 1);
    ck_assert(scheduler_is_idle(scheduler));
}
END_TEST

START_TEST(a_rule_may_take_the_first_run)
{
    static struct client client, next;
    static struct fake_connection connection;
    const struct request_rule rule = {first_wins};
    attach_ready("r0", &connection, 2);
    accept_two(&client, &rule);
    accept_request(&next);
    report_steps(&connection, client.number + 1, 1, STEPS);
    ck_assert_int_eq(client.n_ended, 1);
    ck_assert_int_eq(connection.n_cancelled, 1); /* the other run is not wanted any more */
    ck_assert_uint_eq(connection.cancelled, client.number);
    ck_assert_uint_eq(connection.number, next.number); /* and both places are free */
    ck_assert_ptr_null(accounts_find(&scheduler->accounts, "group"));
}
END_TEST

START_TEST(all_runs_end_with_their_request)
{
    static struct client client;
    static struct fake_connection connection;
    const struct request_rule rule = {all_must_finish};
    attach_ready("r0", &connection, 1);
    accept_two(&client, &rule);
    ck_assert_uint_eq(totals().queued, 1); /* one waits, the other runs */
    scheduler_cancel(scheduler, client.number);
    ck_assert_int_eq(client.n_ended, 1);
    ck_assert_int_eq(client.status, STATUS_CANCELLED);
    ck_assert_uint_eq(totals().queued, 0);
    ck_assert_uint_eq(totals().running, 0);
    ck_assert_int_eq(report(&connection, client.number + 1, 1), STATUS_OK); /* late: nothing */
    ck_assert(scheduler_is_idle(scheduler));
}
END_TEST

TCase *requests_case(void)
{
    TCase *cases = tcase_create("requests");
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_test(cases, a_request_lives_and_finishes);
    tcase_add_test(cases, requests_go_where_least_runs);
    tcase_add_test(cases, no_replica_is_overfilled);
    tcase_add_test(cases, a_text_that_never_fits_fails);
    tcase_add_test(cases, cancel_frees_the_place);
    tcase_add_test(cases, a_request_that_kills_replicas_fails);
    tcase_add_test(cases, bad_reports_change_nothing);
    tcase_add_test(cases, rejected_fails_or_moves_on);
    tcase_add_test(cases, a_rejection_is_a_failure_whatever_it_says);
    tcase_add_test(cases, shutting_down_refuses_then_ends);
    tcase_add_test(cases, totals_add_up);
    tcase_add_test(cases, an_observer_hears_of_everything);
    tcase_add_test(cases, ten_thousand_cancelled_requests_leave_nothing);
    tcase_add_test(cases, a_rule_may_want_all_runs);
    tcase_add_test(cases, a_rule_may_take_the_first_run);
    tcase_add_test(cases, all_runs_end_with_their_request);
    return cases;
}
