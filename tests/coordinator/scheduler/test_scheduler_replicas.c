/* Replicas that come, go, hang and are replaced. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "coordinator/scheduler/scheduler_state.h"
#include "common/utf8.h"
#include "tests/coordinator/scheduler/scheduler_fixture.h"

static struct replica *find_replica(const char *name)
{
    return replica_set_find(&scheduler->replicas, name);
}

static void pulse(struct fake_connection *connection, uint64_t progress)
{
    const struct replica_pulse said = {.progress = progress};
    scheduler_pulse(scheduler, connection, &said);
}

START_TEST(a_lost_replica_hands_its_last_frame_on)
{
    static struct client clients[3];
    static struct fake_connection lost, next;
    attach_ready("r0", &lost, 2);
    for (int i = 0; i < 3; i++)
        accept_request(&clients[i]); /* the third waits */
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

/* "You leave" is said to our own; "I leave" to all. */
START_TEST(only_ours_are_told_to_end_with_us)
{
    static struct fake_connection ours, elsewhere;
    scheduler_expect(scheduler, "ours");
    attach_ready("ours", &ours, 1);
    attach_ready("elsewhere", &elsewhere, 1);
    scheduler_drain_supervised(scheduler);
    ck_assert_int_eq(ours.n_drained, 1);
    ck_assert_int_eq(elsewhere.n_drained, 0);
    ck_assert_int_eq(elsewhere.n_hung_up, 0);
    scheduler_detach(scheduler, &ours, true, "");
    scheduler_hang_up_all(scheduler, "leaving");
    ck_assert_int_eq(ours.n_hung_up, 0); /* it is gone */
    ck_assert_int_eq(elsewhere.n_hung_up, 1);
    ck_assert_int_eq(elsewhere.n_drained, 0);
}
END_TEST

/* Pods have a new name each time: the lost ones of long ago make room, those that are there or ours do not.
 */
START_TEST(lost_outsiders_do_not_fill_the_table)
{
    static struct fake_connection steady, passing, supervised;
    char name[16];
    scheduler_expect(scheduler, "ours");
    attach_ready("steady", &steady, 1);
    for (int i = 0; i < 3000; i++) {
        snprintf(name, sizeof name, "pod-%d", i);
        attach(name, &passing);
        scheduler_detach(scheduler, &passing, false, "lost");
    }
    ck_assert(scheduler_is_attached(scheduler, "steady"));
    ck_assert_int_le(scheduler->replicas.n, 1024);
    ck_assert_ptr_nonnull(replica_set_find(&scheduler->replicas, "pod-2999"));
    ck_assert_ptr_null(replica_set_find(&scheduler->replicas, "pod-0"));
    attach_ready("ours", &supervised, 1);
}
END_TEST

/* Names of batch jobs never come back; whoever does come back is a new one. */
START_TEST(a_lost_outsider_is_forgotten_after_a_while)
{
    static struct fake_connection lost, stays, again;
    scheduler_expect(scheduler, "ours");
    attach_ready("lost", &lost, 1);
    attach_ready("stays", &stays, 1);
    scheduler_detach(scheduler, &lost, false, "its stream broke");
    scheduler_check_silence(scheduler);
    ck_assert_ptr_nonnull(find_replica("lost"));
    find_replica("lost")->lost_at -= SCHEDULER_MEMORY_SECONDS;
    n_changes = 0;
    scheduler_check_silence(scheduler);
    ck_assert_ptr_null(find_replica("lost"));
    ck_assert_int_gt(n_changes, 0);
    ck_assert_ptr_nonnull(find_replica("stays"));
    ck_assert_ptr_nonnull(find_replica("ours")); /* never attached, but we start it */
    ck_assert_int_eq(scheduler->replicas.n, 2);
    attach_ready("lost", &again, 1);
    ck_assert_uint_eq(find_replica("lost")->restarts, 0);
}
END_TEST

/* While nobody reads what replicas say, none is blamed for it. The limit is 0 seconds here. */
START_TEST(nobody_is_blamed_for_what_was_not_read)
{
    static struct fake_connection connection;
    const struct replica_pulse pulse = {.progress = 1};
    attach_ready("r0", &connection, 1);
    scheduler_pulse(scheduler, &connection, &pulse);
    find_replica("r0")->progressed_at -= 100;
    scheduler_check_silence(scheduler);
    ck_assert_int_eq(find_replica("r0")->state, REPLICA_STARTING); /* it was hung up on */
    static struct fake_connection other;
    attach_ready("r1", &other, 1);
    scheduler_pulse(scheduler, &other, &pulse);
    scheduler->checked_at -= 100; /* for so long nobody has read */
    find_replica("r1")->progressed_at -= 100;
    scheduler_excuse_silence(scheduler);
    scheduler_check_silence(scheduler);
    ck_assert_int_eq(find_replica("r1")->state, REPLICA_READY);
}
END_TEST

START_TEST(no_outsider_is_forgotten_while_we_were_stopped)
{
    static struct fake_connection connection;
    attach("lost", &connection);
    scheduler_detach(scheduler, &connection, false, "its stream broke");
    scheduler_check_silence(scheduler);
    scheduler->checked_at -= SCHEDULER_MEMORY_SECONDS; /* it was long ago, as was the loss */
    find_replica("lost")->lost_at -= SCHEDULER_MEMORY_SECONDS;
    scheduler_check_silence(scheduler);
    ck_assert_ptr_nonnull(find_replica("lost"));
}
END_TEST

START_TEST(a_lost_outsider_is_forgotten_on_demand)
{
    static struct client waiting;
    static struct fake_connection lost, failed, ours;
    struct error error;
    bool supervised;
    uint32_t left;
    scheduler_expect(scheduler, "ours");
    attach("ours", &ours);
    scheduler_detach(scheduler, &ours, false, "its stream broke");
    ck_assert(!scheduler_forget(scheduler, "ours"));
    scheduler_give_up(scheduler, "ours", "it keeps dying");
    attach_ready("lost", &lost, 1);
    accept_request(&waiting);
    ck_assert(!scheduler_forget(scheduler, "lost")); /* it is there */
    scheduler_detach(scheduler, &lost, false, "its stream broke");
    ck_assert_int_eq(scheduler_drain(scheduler, "lost", true, &supervised, &left, &error), STATUS_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(error.text, "whoever started it"));
    ck_assert_int_eq(waiting.n_ended, 0);
    ck_assert(scheduler_forget(scheduler, "lost"));
    ck_assert_int_eq(waiting.status, STATUS_UNAVAILABLE); /* it waited for that one alone */
    ck_assert(!scheduler_forget(scheduler, "lost"));
    attach("failed", &failed);
    scheduler_failed(scheduler, &failed, "model.safetensors is damaged");
    scheduler_detach(scheduler, &failed, true, "");
    ck_assert(scheduler_forget(scheduler, "failed"));
}
END_TEST

START_TEST(a_drained_replica_is_not_ready_again)
{
    static struct fake_connection connection;
    const struct replica_capacity capacity = {.max_sequences = 1, .max_tokens = LENGTH};
    attach_ready("r0", &connection, 1);
    scheduler_leaving(scheduler, &connection);
    scheduler_ready(scheduler, &connection, &capacity);
    ck_assert_str_eq(only_state(), "draining");
}
END_TEST

/* Status is UTF-8 for clients of every language: what replicas say is cut between characters. */
START_TEST(what_a_replica_says_is_cut_between_characters)
{
    static struct fake_connection connection;
    char backend[2 * REPLICA_BACKEND_MAX + 1], reason[602] = "x";
    for (size_t i = 0; i + 2 < sizeof backend; i += 2)
        memcpy(backend + i, "é", 3);
    for (size_t i = 1; i + 3 < sizeof reason; i += 3)
        memcpy(reason + i, "€", 4);
    const struct replica_hello hello = {"r0", backend, 1, NULL};
    ck_assert_int_eq(scheduler_attach(scheduler, &hello, &operations, &connection, NULL), STATUS_OK);
    scheduler_detach(scheduler, &connection, false, reason);
    const struct replica *replica = replica_set_find(&scheduler->replicas, "r0");
    size_t n_backend = strlen(replica->backend), n_reason = strlen(replica->last_error);
    ck_assert_uint_eq(n_backend, 30); /* of 31 bytes */
    ck_assert_uint_eq(n_reason, 253); /* of 255 */
    ck_assert_uint_eq(utf8_valid_size(replica->backend, n_backend), n_backend);
    ck_assert_uint_eq(utf8_valid_size(replica->last_error, n_reason), n_reason);
}
END_TEST

/* Its line is gone, its process not yet: a restart that comes now is not too early. */
START_TEST(a_replica_on_its_way_down_can_be_released)
{
    static struct fake_connection connection;
    bool supervised;
    uint32_t left;
    scheduler_expect(scheduler, "r0");
    attach_ready("r0", &connection, 1);
    ck_assert_int_eq(scheduler_drain(scheduler, "r0", false, &supervised, &left, NULL), STATUS_OK);
    scheduler_detach(scheduler, &connection, true, "");
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
    static struct fake_connection connection;
    char reason[256];
    accept_request(&waiting);
    ck_assert_int_eq(scheduler_outlook(scheduler, reason, sizeof reason), OUTLOOK_WAITING);
    attach("r0", &connection);
    scheduler_failed(scheduler, &connection, "model.safetensors is damaged");
    ck_assert_int_eq(waiting.status, STATUS_UNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(waiting.text, "model.safetensors is damaged"));
    scheduler_detach(scheduler, &connection, true, "");
    ck_assert_int_eq(accept_length(&late, LENGTH, &error), STATUS_UNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(error.text, "model.safetensors is damaged"));
    ck_assert_int_eq(scheduler_outlook(scheduler, reason, sizeof reason), OUTLOOK_HOPELESS);
    ck_assert_str_eq(reason, "r0: model.safetensors is damaged");
    attach_ready("r0", &connection, 1); /* repaired */
    ck_assert_int_eq(scheduler_outlook(scheduler, reason, sizeof reason), OUTLOOK_READY);
    accept_request(&late);
    ck_assert_int_eq(late.n_ended, 0);
}
END_TEST

/* A stranger of another model says nothing of the replicas that may still come. */
START_TEST(requests_wait_as_if_a_refused_replica_were_not_there)
{
    static struct client waiting, late;
    static struct fake_connection stranger, good;
    char reason[256];
    accept_request(&waiting);
    attach("stranger", &stranger);
    scheduler_refused(scheduler, &stranger, "the replica's model is another one");
    scheduler_detach(scheduler, &stranger, false, "");
    ck_assert_str_eq(only_state(), "failed");
    ck_assert_int_eq(waiting.n_ended, 0);
    ck_assert_int_eq(scheduler_outlook(scheduler, reason, sizeof reason), OUTLOOK_WAITING);
    accept_request(&late);
    ck_assert(scheduler_forget(scheduler, "stranger"));
    ck_assert_int_eq(waiting.n_ended, 0);
    attach_ready("r0", &good, 2);
    ck_assert_int_eq(good.n_submitted, 2);
}
END_TEST

START_TEST(a_refused_replica_of_ours_ends_hope)
{
    static struct client waiting;
    static struct fake_connection stranger, ours;
    scheduler_expect(scheduler, "r0");
    accept_request(&waiting);
    attach("r0", &ours);
    attach("stranger", &stranger);
    scheduler_refused(scheduler, &stranger, "another model");
    ck_assert_int_eq(waiting.n_ended, 0);
    scheduler_refused(scheduler, &ours, "the model has changed");
    ck_assert_int_eq(waiting.status, STATUS_UNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(waiting.text, "the model has changed"));
}
END_TEST

START_TEST(a_restart_keeps_hope_until_given_up)
{
    static struct client client;
    static struct fake_connection connection;
    int n_fruitless;
    scheduler_expect(scheduler, "r0");
    attach_ready("r0", &connection, 1);
    accept_request(&client);
    scheduler_detach(scheduler, &connection, false, "its stream broke");
    ck_assert(scheduler_restarting(scheduler, "r0", "killed", &n_fruitless));
    ck_assert_int_eq(n_fruitless, 1); /* it was lost before it had taken a step of what it ran */
    ck_assert(!scheduler_restarting(scheduler, "r0", "again", &n_fruitless)); /* not ready in between */
    ck_assert_int_eq(client.n_ended, 0);
    scheduler_give_up(scheduler, "r0", "it keeps dying");
    ck_assert_int_eq(client.status, STATUS_UNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(client.text, "it keeps dying"));
}
END_TEST

START_TEST(names_are_checked_and_unique)
{
    struct error error;
    static struct fake_connection connection, second;
    struct replica_hello hello = {"r0", "cpu", 1, NULL};
    attach("r0", &connection);
    ck_assert_int_eq(scheduler_attach(scheduler, &hello, &operations, &second, &error),
                     STATUS_ALREADY_EXISTS);
    hello.name = "no/slash";
    ck_assert_int_eq(scheduler_attach(scheduler, &hello, &operations, &second, &error),
                     STATUS_INVALID_ARGUMENT);
    hello.name = "";
    ck_assert_int_eq(scheduler_attach(scheduler, &hello, &operations, &second, &error),
                     STATUS_INVALID_ARGUMENT);
    scheduler_detach(scheduler, &connection, true, "");
    ck_assert_ptr_null(only_state()); /* an outsider that said goodbye is forgotten */
}
END_TEST

/* An outsider gets the name of a replica that we start at no time: not before we start it, not while it runs,
 * not while it is down. */
START_TEST(the_name_of_our_replica_is_kept_for_its_process)
{
    struct error error;
    int n_fruitless;
    static struct fake_connection early, ours, late, next;
    struct replica_hello outsider = {"r0", "cpu", 1, ""}, own = {"r0", "cpu", 1, "first secret"};
    ck_assert_int_eq(scheduler_attach(scheduler, &outsider, &operations, &early, NULL), STATUS_OK);
    scheduler_expect(scheduler, "r0");
    scheduler_launching(scheduler, "r0", "first secret");
    ck_assert_int_eq(early.n_hung_up, 1);
    ck_assert_int_eq(scheduler_attach(scheduler, &outsider, &operations, &late, &error),
                     STATUS_FAILED_PRECONDITION);
    ck_assert_ptr_nonnull(strstr(error.text, "\"r0\" is a replica that this coordinator starts itself"));
    ck_assert_int_eq(scheduler_attach(scheduler, &own, &operations, &ours, NULL), STATUS_OK);
    scheduler_detach(scheduler, &ours, false, "killed");
    scheduler_restarting(scheduler, "r0", "killed", &n_fruitless);
    outsider.launch = "a guess";
    ck_assert_int_eq(scheduler_attach(scheduler, &outsider, &operations, &late, NULL),
                     STATUS_FAILED_PRECONDITION);
    scheduler_launching(scheduler, "r0", "second secret");
    ck_assert_int_eq(scheduler_attach(scheduler, &own, &operations, &late, NULL), STATUS_FAILED_PRECONDITION);
    own.launch = "second secret";
    ck_assert_int_eq(scheduler_attach(scheduler, &own, &operations, &next, NULL), STATUS_OK);
}
END_TEST

START_TEST(only_its_own_ranks_speak_for_a_replica)
{
    static struct client waiting;
    static struct fake_connection connection;
    const struct replica_hello hello = {"guest", "cpu", 2, "its own secret"};
    accept_request(&waiting);
    ck_assert_int_eq(scheduler_attach(scheduler, &hello, &operations, &connection, NULL), STATUS_OK);
    scheduler_explain(scheduler, "guest", "", "it is broken, says a stranger");
    ck_assert_str_eq(only_state(), "starting");
    ck_assert_int_eq(waiting.n_ended, 0);
    scheduler_explain(scheduler, "guest", "its own secret", "rank 1 of 2: no memory");
    ck_assert_str_eq(only_state(), "failed");
    ck_assert_ptr_nonnull(strstr(waiting.text, "no memory"));
}
END_TEST

START_TEST(silence_is_noticed_only_with_work)
{
    static struct client client;
    static struct fake_connection connection;
    attach_ready("r0", &connection, 1);
    scheduler_check_silence(scheduler); /* the limit is 0 seconds here */
    ck_assert_int_eq(connection.n_hung_up, 0);
    accept_request(&client);
    scheduler_check_silence(scheduler);
    ck_assert_int_eq(connection.n_hung_up, 1);
}
END_TEST

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
    replica.state = REPLICA_FAILED; /* it was given up, came all the same, and loads */
    ck_assert_double_eq(scheduler_silent_until(&replica, 10), 51 + 10 * SCHEDULER_PATIENCE);
}
END_TEST

START_TEST(a_pulse_counts_only_when_it_moves)
{
    static struct fake_connection connection;
    attach_ready("r0", &connection, 1);
    struct replica *replica = find_replica("r0");
    pulse(&connection, 7);
    replica->progressed_at = 1;
    pulse(&connection, 7);
    ck_assert_double_eq(replica->progressed_at, 1);
    pulse(&connection, 8);
    ck_assert_double_gt(replica->progressed_at, 1);
    ck_assert_uint_eq(replica->pulse.progress, 8);
}
END_TEST

START_TEST(a_replica_that_hangs_loses_its_runs_at_once)
{
    static struct client client;
    static struct fake_connection hanging, other;
    struct replica *replica;
    scheduler->options.silence_seconds = 1000;
    attach_ready("r0", &hanging, 1);
    accept_request(&client);
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
    static struct fake_connection connection;
    scheduler->options.silence_seconds = 10;
    attach_ready("r0", &connection, 1);
    pulse(&connection, 7);
    scheduler_check_silence(scheduler);
    scheduler->checked_at -= 60; /* it was long ago */
    find_replica("r0")->progressed_at -= 65;
    scheduler_check_silence(scheduler);
    ck_assert_int_eq(connection.n_hung_up, 0); /* 5 seconds, not 65 */
    find_replica("r0")->progressed_at -= 7;
    scheduler_check_silence(scheduler);
    ck_assert_int_eq(connection.n_hung_up, 1);
}
END_TEST

TCase *replicas_case(void)
{
    TCase *cases = tcase_create("replicas");
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_test(cases, a_lost_replica_hands_its_last_frame_on);
    tcase_add_test(cases, only_ours_are_told_to_end_with_us);
    tcase_add_test(cases, lost_outsiders_do_not_fill_the_table);
    tcase_add_test(cases, a_lost_outsider_is_forgotten_after_a_while);
    tcase_add_test(cases, nobody_is_blamed_for_what_was_not_read);
    tcase_add_test(cases, no_outsider_is_forgotten_while_we_were_stopped);
    tcase_add_test(cases, a_lost_outsider_is_forgotten_on_demand);
    tcase_add_test(cases, a_drained_replica_is_not_ready_again);
    tcase_add_test(cases, what_a_replica_says_is_cut_between_characters);
    tcase_add_test(cases, a_replica_on_its_way_down_can_be_released);
    tcase_add_test(cases, without_hope_requests_are_told_why);
    tcase_add_test(cases, requests_wait_as_if_a_refused_replica_were_not_there);
    tcase_add_test(cases, a_refused_replica_of_ours_ends_hope);
    tcase_add_test(cases, a_restart_keeps_hope_until_given_up);
    tcase_add_test(cases, names_are_checked_and_unique);
    tcase_add_test(cases, the_name_of_our_replica_is_kept_for_its_process);
    tcase_add_test(cases, only_its_own_ranks_speak_for_a_replica);
    tcase_add_test(cases, silence_is_noticed_only_with_work);
    tcase_add_test(cases, how_long_a_replica_may_stand_still);
    tcase_add_test(cases, a_pulse_counts_only_when_it_moves);
    tcase_add_test(cases, a_replica_that_hangs_loses_its_runs_at_once);
    tcase_add_test(cases, no_replica_is_blamed_while_we_were_stopped);
    return cases;
}
