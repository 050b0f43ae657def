/* Replicas that say that they failed, and requests that make every replica fail. */
#include <string.h>

#include "coordinator/scheduler/scheduler_state.h"
#include "tests/coordinator/scheduler/scheduler_fixture.h"

static const char fault[] = "rank 1 of 2: an illegal address";

static struct replica *find_replica(const char *name)
{
    return replica_set_find(&scheduler->replicas, name);
}

static void break_down(struct fake_connection *connection)
{
    scheduler_failed(scheduler, connection, fault);
    scheduler_detach(scheduler, connection, true, ""); /* it closes its stream properly */
}

START_TEST(a_failed_engine_is_a_loss)
{
    static struct client client;
    static struct fake_connection connection, again;
    attach_ready("outside", &connection, 1);
    accept_request(&client);
    report_steps(&connection, client.number, 1, 2);
    break_down(&connection);
    ck_assert_uint_eq(totals().lost, 1);
    ck_assert_uint_eq(totals().moved, 0);
    ck_assert_uint_eq(totals().queued, 1);
    ck_assert_str_eq(only_state(), "starting"); /* it is not forgotten: it is expected back */
    ck_assert_str_eq(find_replica("outside")->last_error, fault);
    attach_ready("outside", &again, 1);
    ck_assert_uint_eq(find_replica("outside")->restarts, 1);
    ck_assert_uint_eq(again.step, 2);
    report_steps(&again, client.number, 3, STEPS);
    ck_assert_int_eq(client.status, STATUS_OK);
}
END_TEST

START_TEST(its_reason_outlives_the_launchers)
{
    static struct client client;
    static struct fake_connection connection;
    int n_fruitless;
    scheduler_expect(scheduler, "r0");
    attach_ready("r0", &connection, 1);
    accept_request(&client);
    break_down(&connection);
    ck_assert(scheduler_restarting(scheduler, "r0", "exit code 1", &n_fruitless));
    ck_assert_str_eq(find_replica("r0")->last_error, fault);
    ck_assert(
        !scheduler_restarting(scheduler, "r0", "exit code 1", &n_fruitless)); /* said nothing this time */
    ck_assert_str_eq(find_replica("r0")->last_error, "exit code 1");
}
END_TEST

/* One life of r0: steps of all that runs there, until nothing is left or the poison is among it. */
static void live(struct fake_connection *connection, uint64_t poison, uint32_t poison_step)
{
    attach_ready("r0", connection, 4);
    struct replica *replica = find_replica("r0");
    while (replica->running.n) {
        uint64_t numbers[4], tickets[4];
        uint32_t steps[4];
        int n = 0;
        for (struct run *s = replica->running.first; s; s = s->next, n++) {
            numbers[n] = s->number;
            tickets[n] = s->ticket;
            steps[n] = s->step;
        }
        for (int i = 0; i < n; i++) {
            if (numbers[i] != poison || steps[i] + 1 != poison_step)
                continue;
            break_down(connection);
            return;
        }
        for (int i = 0; i < n; i++)
            ck_assert_int_eq(report(connection, tickets[i], steps[i] + 1), STATUS_OK);
    }
}

static void check_poison(int which, uint32_t poison_step)
{
    static struct client clients[3];
    static struct fake_connection lives[16];
    scheduler_expect(scheduler, "r0");
    for (int i = 0; i < 3; i++)
        accept_request(&clients[i]);
    int n = 0;
    while (!clients[which].n_ended && n < 16)
        live(&lives[n++], clients[which].number, poison_step);
    ck_assert_int_eq(n, 6);
    ck_assert_int_eq(clients[which].status, STATUS_INTERNAL);
    ck_assert_ptr_nonnull(strstr(clients[which].text, fault));
    ck_assert_ptr_nonnull(strstr(clients[which].text, "6 replicas"));
    live(&lives[n], clients[which].number, poison_step);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(clients[i].status, i == which ? STATUS_INTERNAL : STATUS_OK);
    ck_assert_str_eq(only_state(), "ready");
    ck_assert_int_eq(scheduler->n_suspects, 0);
}

START_TEST(a_poison_request_ends_alone)
{
    check_poison(_i % 3, _i < 3 ? 1 : 3);
}
END_TEST

/* While a suspect is tried the replica takes nobody else, and another replica serves the rest. */
START_TEST(a_suspect_runs_alone)
{
    static struct client suspect, other;
    static struct fake_connection lost[2], first, second;
    accept_request(&suspect);
    for (int i = 0; i < 2; i++) {
        attach_ready("r0", &lost[i], 4);
        break_down(&lost[i]);
    }
    attach_ready("r0", &first, 4);
    ck_assert_uint_eq(first.number, suspect.number);
    accept_request(&other);
    ck_assert_int_eq(first.n_submitted, 1);
    attach_ready("r1", &second, 4);
    ck_assert_uint_eq(second.number, other.number);
    ck_assert_int_eq(report(&first, first.ticket, 1), STATUS_OK); /* a step clears it */
    ck_assert(!find_replica("r0")->is_closed);
    ck_assert_int_eq(scheduler->n_suspects, 0);
}
END_TEST

/* A replica that breaks again and again does not get the request once more while another could run it, also
 * when that one is busy. */
START_TEST(a_suspect_goes_where_it_was_not_lost)
{
    static struct client suspect, other;
    static struct fake_connection bad[3], good;
    attach_ready("bad", &bad[0], 1);
    accept_request(&suspect);
    break_down(&bad[0]);
    attach_ready("bad", &bad[1], 1);
    break_down(&bad[1]);
    accept_request(&other);
    attach_ready("good", &good,
                 1); /* both wait, and `good` has not proven itself: it serves the other first */
    ck_assert_uint_eq(good.number, other.number);
    report_steps(&good, good.ticket, 1, 1);
    attach_ready("bad", &bad[2], 1);
    ck_assert_int_eq(bad[2].n_submitted, 0);
    report_steps(&good, good.ticket, 2, STEPS);
    ck_assert_int_eq(other.status, STATUS_OK);
    ck_assert_uint_eq(good.number, suspect.number);
    report_steps(&good, good.ticket, 1, STEPS);
    ck_assert_int_eq(suspect.status, STATUS_OK);
    ck_assert_int_eq(scheduler->n_suspects, 0);
}
END_TEST

/* The good replica comes while the bad one has the request for the sixth time: the request is no cause yet.
 */
START_TEST(who_lost_one_replica_often_may_try_another)
{
    static struct client client;
    static struct fake_connection bad, good;
    accept_request(&client);
    for (int life = 0; life < 6; life++) {
        attach_ready("bad", &bad, 1);
        ck_assert_uint_eq(bad.number, client.number);
        if (life == 5)
            attach_ready("good", &good, 1);
        break_down(&bad);
    }
    ck_assert_int_eq(client.n_ended, 0);
    ck_assert_uint_eq(good.number, client.number);
    report_steps(&good, good.ticket, 1, STEPS);
    ck_assert_int_eq(client.status, STATUS_OK);
}
END_TEST

/* A replica that fails under every request, each of them another, is given up after a while. */
START_TEST(a_replica_that_never_steps_is_given_up)
{
    static struct client clients[8];
    static struct fake_connection lives[16];
    scheduler_expect(scheduler, "r0");
    int n = 0, n_clients = 0;
    while (strcmp(only_state(), "failed") != 0 && n < 16) {
        if (n_clients == 0 || clients[n_clients - 1].n_ended)
            accept_request(&clients[n_clients++]);
        attach_ready("r0", &lives[n], 1);
        break_down(&lives[n++]);
    }
    ck_assert_int_eq(n, REPLICA_FRUITLESS_MAX);
    ck_assert_int_eq(n_clients, 2);
    ck_assert_int_eq(clients[0].status, STATUS_INTERNAL);
    ck_assert_int_eq(clients[1].status, STATUS_UNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(clients[1].text, fault));
    attach_ready("r0", &lives[n], 1); /* it is tried on; a step shows that it works again */
    accept_request(&clients[2]);
    report_steps(&lives[n], clients[2].number, 1, STEPS);
    ck_assert_int_eq(clients[2].status, STATUS_OK);
    ck_assert_int_eq(find_replica("r0")->n_fruitless, 0);
}
END_TEST

START_TEST(the_last_replica_is_forgotten)
{
    static struct client waiting, late;
    static struct fake_connection connection;
    attach_ready("lost", &connection, 1);
    accept_request(&waiting);
    break_down(&connection);
    ck_assert_int_eq(waiting.n_ended, 0);
    ck_assert(scheduler_forget(scheduler, "lost"));
    ck_assert_int_eq(waiting.status, STATUS_UNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(waiting.text, fault));
    accept_request(&late); /* who comes later waits for whatever replica comes */
    ck_assert_int_eq(late.n_ended, 0);
}
END_TEST

TCase *failures_case(void)
{
    TCase *cases = tcase_create("failures");
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_test(cases, a_failed_engine_is_a_loss);
    tcase_add_test(cases, its_reason_outlives_the_launchers);
    tcase_add_loop_test(cases, a_poison_request_ends_alone, 0, 6);
    tcase_add_test(cases, a_suspect_runs_alone);
    tcase_add_test(cases, a_suspect_goes_where_it_was_not_lost);
    tcase_add_test(cases, who_lost_one_replica_often_may_try_another);
    tcase_add_test(cases, a_replica_that_never_steps_is_given_up);
    tcase_add_test(cases, the_last_replica_is_forgotten);
    return cases;
}
