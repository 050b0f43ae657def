/* Classes, limits and deadlines: who gives way, who is refused, and what is promised. */
#include <string.h>

#include "common/clock.h"
#include "tests/coordinator/scheduler/scheduler_fixture.h"

/* Reports a step as a replica does that says how large its batch was and how long it took. */
static void report_measured(struct fake_connection *connection, uint64_t ticket, uint32_t step,
                            int64_t tokens, double seconds)
{
    uint32_t position = step, id = 10 + step;
    struct step_report step_report = {.ticket = ticket,
                                      .step = step,
                                      .n_changed = 1,
                                      .positions = &position,
                                      .ids = &id,
                                      .done = step == STEPS,
                                      .step_ms = 1e3 * seconds,
                                      .batch_step = ++connection->batch_step,
                                      .batch_tokens = tokens};
    ck_assert_int_eq(scheduler_report(scheduler, connection, &step_report, NULL), STATUS_OK);
}

/* A replica of four places whose steps take a second, whatever their size, and which runs nothing. */
static void attach_measured(struct fake_connection *connection)
{
    static struct client first;
    attach_ready("r0", connection, 4);
    accept_class(&first, CLASS_NORMAL);
    for (uint32_t step = 1; step <= STEPS; step++)
        report_measured(connection, first.number, step, step % 2 ? 4 * LENGTH : LENGTH, 1);
    ck_assert_int_eq(first.n_ended, 1);
}

static struct request_terms by(double seconds)
{
    return (struct request_terms){.deadline_at = clock_seconds() + seconds};
}

START_TEST(a_higher_class_takes_the_place_and_gives_it_back)
{
    static struct client low, high;
    static struct fake_connection connection;
    attach_ready("r0", &connection, 1);
    accept_class(&low, CLASS_LOW);
    report_steps(&connection, low.number, 1, 1);
    accept_class(&high, CLASS_HIGH);
    ck_assert_uint_eq(connection.cancelled, low.number);
    ck_assert_uint_eq(connection.number, high.number);
    ck_assert_uint_eq(totals().preempted, 1);
    report_steps(&connection, low.number, 2, 2); /* the step that was under way is not lost */
    ck_assert_uint_eq(low.last_step, 2);
    report_steps(&connection, high.number, 1, STEPS);
    ck_assert_int_eq(high.status, STATUS_OK);
    ck_assert_uint_eq(connection.number, low.number);
    ck_assert_uint_eq(connection.step, 2);
    ck_assert_uint_ne(connection.ticket, low.number); /* so that nothing old is taken for something new: */
    ck_assert_int_eq(report(&connection, low.number, 3), STATUS_OK);
    ck_assert_uint_eq(low.last_step, 2);
    report_steps(&connection, connection.ticket, 3, STEPS);
    ck_assert_int_eq(low.n_ended, 1);
    ck_assert_int_eq(low.status, STATUS_OK);
}
END_TEST

START_TEST(a_last_step_under_way_ends_the_request)
{
    static struct client low, high;
    static struct fake_connection connection;
    attach_ready("r0", &connection, 1);
    accept_class(&low, CLASS_LOW);
    report_steps(&connection, low.number, 1, STEPS - 1);
    accept_class(&high, CLASS_HIGH);
    report_steps(&connection, low.number, STEPS, STEPS);
    ck_assert_int_eq(low.n_ended, 1);
    ck_assert_int_eq(low.status, STATUS_OK);
    ck_assert_uint_eq(totals().queued, 0);
    report_steps(&connection, high.number, 1, STEPS);
}
END_TEST

START_TEST(the_place_of_one_that_ends_is_filled_ahead)
{
    static struct client clients[2];
    static struct fake_connection connection;
    const struct replica_capacity capacity = {
        .max_sequences = 1, .max_tokens = LENGTH, .held_sequences = 1, .held_tokens = LENGTH};
    attach("r0", &connection);
    scheduler_ready(scheduler, &connection, &capacity);
    for (int i = 0; i < 2; i++)
        accept_request(&clients[i]);
    report_steps(&connection, clients[0].number, 1, STEPS - 2);
    ck_assert_int_eq(connection.n_submitted, 1);
    report_steps(&connection, clients[0].number, STEPS - 1, STEPS - 1);
    ck_assert_int_eq(connection.n_submitted, 2);
    report_steps(&connection, clients[0].number, STEPS, STEPS);
    report_steps(&connection, clients[1].number, 1, STEPS);
}
END_TEST

START_TEST(a_full_queue_refuses_with_a_hint)
{
    static struct client clients[4] = {0};
    struct error error;
    for (int i = 0; i < 3; i++)
        accept_request(&clients[i]);
    ck_assert_int_eq(accept_length(&clients[3], LENGTH, &error), STATUS_RESOURCE_EXHAUSTED);
    ck_assert_ptr_nonnull(strstr(error.text, "3 requests wait"));
    ck_assert_ptr_nonnull(strstr(error.text, "try again"));
    ck_assert_int_eq(clients[3].n_accepted + clients[3].n_ended, 0);
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
    static struct fake_connection connection;
    struct error error;
    ck_assert_int_eq(accept_with(&client, CLASS_NORMAL, LENGTH, by(0.01), 0, NULL),
                     STATUS_OK); /* not measured */
    scheduler_cancel(scheduler, client.number);
    attach_measured(&connection);
    ck_assert_int_eq(accept_with(&client, CLASS_NORMAL, LENGTH, by(2.5), 0, &error),
                     STATUS_DEADLINE_EXCEEDED);
    ck_assert_ptr_nonnull(strstr(error.text, "4 steps"));
    ck_assert_uint_eq(totals().refused[REFUSED_DEADLINE], 1);
    ck_assert_int_eq(accept_with(&client, CLASS_NORMAL, LENGTH, by(4.5), 0, NULL), STATUS_OK);
    ck_assert_double_eq_tol(client.estimated_seconds, 4, 0.1);
}
END_TEST

/* The last step that was measured may have been an outlier. Where all are refused for it, no other is
 * measured.
 */
START_TEST(an_idle_clusters_old_estimate_refuses_nobody)
{
    static struct client clients[2];
    static struct fake_connection connection;
    attach_measured(&connection);
    ck_assert_int_eq(accept_with(&clients[0], CLASS_NORMAL, LENGTH, by(2.5), 0, NULL),
                     STATUS_DEADLINE_EXCEEDED);
    scheduler->measured_at -= 6;
    ck_assert_int_eq(accept_with(&clients[0], CLASS_NORMAL, LENGTH, by(2.5), 0, NULL), STATUS_OK);
    ck_assert_int_eq(accept_with(&clients[1], CLASS_NORMAL, LENGTH, by(2.5), 0, NULL),
                     STATUS_DEADLINE_EXCEEDED); /* one is enough to measure */
}
END_TEST

START_TEST(automatic_steps_fit_the_time)
{
    static struct client clients[4];
    static struct fake_connection connection;
    struct error error;
    attach_measured(&connection);
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
    static struct fake_connection connection;
    attach_measured(&connection);
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
    static struct fake_connection connection;
    attach_measured(&connection);
    for (int i = 0; i < 4; i++)
        accept_class(&clients[i], CLASS_NORMAL);
    for (int i = 0; i < 2; i++) /* 240 positions and steps, and 40 are done in a second */
        ck_assert_int_eq(accept_with(&large[i], CLASS_NORMAL, 3 * LENGTH, (struct request_terms){0}, 0, NULL),
                         STATUS_OK);
    accept_class(&late, CLASS_NORMAL);
    ck_assert_double_eq_tol(late.estimated_seconds, 6 + 4, 0.5);
}
END_TEST

START_TEST(events_of_one_wake_up_are_decided_together)
{
    static struct fake_connection connection;
    static struct client clients[3];
    attach_ready("r0", &connection, 2);
    scheduler_hold(scheduler);
    ck_assert(!scheduler_is_undecided(scheduler));
    accept_request(&clients[0]);
    accept_request(&clients[1]);
    ck_assert(scheduler_is_undecided(scheduler));
    ck_assert_int_eq(connection.n_submitted, 0);
    scheduler_settle(scheduler);
    ck_assert(!scheduler_is_undecided(scheduler));
    ck_assert_int_eq(connection.n_submitted, 2);
    accept_request(&clients[2]); /* it finds no room, and nothing is left to decide until some is made */
    ck_assert_int_eq(connection.n_submitted, 2);
    scheduler_hold(scheduler);
    report_steps(&connection, clients[0].number, 1, STEPS - 1);
    ck_assert(!scheduler_is_undecided(scheduler));
    report_steps(&connection, clients[0].number, STEPS, STEPS);
    ck_assert(scheduler_is_undecided(scheduler));
    scheduler_hold(scheduler); /* of another thread */
    scheduler_settle(scheduler);
    ck_assert_int_eq(connection.n_submitted, 2);
    scheduler_settle(scheduler);
    ck_assert_int_eq(connection.n_submitted, 3);
}
END_TEST

/* A queue that seems full, of requests that only wait for the end of the wake-up. */
START_TEST(no_request_is_refused_for_what_is_undecided)
{
    static struct fake_connection connection;
    static struct client clients[8];
    attach_ready("r0", &connection, 4);
    scheduler_hold(scheduler);
    for (int i = 0; i < 7; i++) /* 4 run, 3 wait */
        accept_request(&clients[i]);
    clients[7] = (struct client){0};
    ck_assert_int_eq(accept_length(&clients[7], LENGTH, NULL), STATUS_RESOURCE_EXHAUSTED);
    scheduler_settle(scheduler);
    ck_assert_int_eq(connection.n_submitted, 4);
}
END_TEST

/* More wait than a decision looks at, and there is room for nearly all: a replica that comes is filled. */
START_TEST(a_replica_that_comes_is_filled)
{
    enum { N_CLIENTS = 200, N_PLACES = 180 };
    static struct fake_connection connection;
    static struct client clients[N_CLIENTS];
    const struct replica_capacity capacity = {.max_sequences = N_PLACES, .max_tokens = N_PLACES * LENGTH};
    scheduler->options.max_queue = N_CLIENTS;
    scheduler->options.max_queue_tokens = scheduler->options.client_tokens = 0;
    for (int i = 0; i < N_CLIENTS; i++)
        accept_request(&clients[i]);
    attach("r0", &connection);
    scheduler_ready(scheduler, &connection, &capacity);
    ck_assert_int_eq(connection.n_submitted, N_PLACES);
    ck_assert_uint_eq(totals().queued, N_CLIENTS - N_PLACES);
}
END_TEST

TCase *limits_case(void)
{
    TCase *cases = tcase_create("limits");
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_test(cases, a_replica_that_comes_is_filled);
    tcase_add_test(cases, events_of_one_wake_up_are_decided_together);
    tcase_add_test(cases, no_request_is_refused_for_what_is_undecided);
    tcase_add_test(cases, a_higher_class_takes_the_place_and_gives_it_back);
    tcase_add_test(cases, a_last_step_under_way_ends_the_request);
    tcase_add_test(cases, the_place_of_one_that_ends_is_filled_ahead);
    tcase_add_test(cases, a_full_queue_refuses_with_a_hint);
    tcase_add_test(cases, low_ones_do_not_keep_high_ones_out);
    tcase_add_test(cases, the_queue_is_bounded_in_tokens);
    tcase_add_test(cases, one_client_has_its_limits);
    tcase_add_test(cases, who_cannot_finish_in_time_is_told_at_once);
    tcase_add_test(cases, an_idle_clusters_old_estimate_refuses_nobody);
    tcase_add_test(cases, automatic_steps_fit_the_time);
    tcase_add_test(cases, waiting_counts_in_the_estimate);
    tcase_add_test(cases, work_that_waits_counts_in_the_estimate);
    return cases;
}
