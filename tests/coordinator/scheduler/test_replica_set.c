#include <stdio.h>

#include "tests/coordinator/scheduler/capacity_cases.h"

static struct replica_set set;

static void set_up(void)
{
    set = (struct replica_set){0};
}

static void tear_down(void)
{
    replica_set_free(&set);
}

static const struct replica_connection operations;

START_TEST(they_are_found_by_name_and_by_connection)
{
    enum { N = 300 };
    static char connections[N];
    char name[16];
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "r%d", i);
        struct replica *replica = replica_set_get(&set, name);
        ck_assert(replica_set_connect(&set, replica, &operations, &connections[i]));
        ck_assert_int_eq(replica->index, i);
    }
    ck_assert_ptr_null(replica_set_find(&set, "r300"));
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "r%d", i);
        struct replica *replica = replica_set_find(&set, name);
        ck_assert_str_eq(replica->name, name);
        ck_assert_ptr_eq(replica_set_get(&set, name), replica);
        ck_assert_ptr_eq(replica_set_find_connection(&set, &connections[i]), replica);
    }
    ck_assert_int_eq(set.n, N);
}
END_TEST

/* Messages of a connection that was given up may still come. */
START_TEST(a_connection_that_is_gone_leads_nowhere)
{
    char old, new;
    struct replica *replica = replica_set_get(&set, "r0");
    ck_assert(replica_set_connect(&set, replica, &operations, &old));
    replica_set_disconnect(&set, replica);
    ck_assert_ptr_null(replica_set_find_connection(&set, &old));
    replica_set_disconnect(&set, replica); /* nothing */
    ck_assert(replica_set_connect(&set, replica, &operations, &new));
    ck_assert_ptr_null(replica_set_find_connection(&set, &old));
    ck_assert_ptr_eq(replica_set_find_connection(&set, &new), replica);
    replica_set_remove(&set, replica);
    ck_assert_ptr_null(replica_set_find_connection(&set, &new));
    ck_assert_ptr_null(replica_set_find(&set, "r0"));
}
END_TEST

START_TEST(one_that_goes_leaves_the_others_in_order)
{
    struct replica *a = ready_replica(&set, "a", 1, 10), *b = ready_replica(&set, "b", 2, 20),
                   *c = ready_replica(&set, "c", 3, 30);
    struct run run = plain_run(CLASS_NORMAL, 5, 4, 0);
    place_run(&set, c, &run);
    replica_set_remove(&set, b);
    ck_assert_ptr_eq(set.first, a);
    ck_assert_ptr_eq(a->next, c);
    ck_assert_ptr_eq(set.last, c);
    ck_assert_int_eq(c->index, 1);
    ck_assert_int_eq(set.places[1].occupancy.n_tokens, 5);
    replica_set_step_run(&set, c, &run);
    ck_assert_int_eq(set.places[1].occupancy.work, 15);
    ck_assert_int_eq(replica_set_room(&set, c), 25);
    replica_set_remove_run(&set, c, &run);
    replica_set_remove(&set, c);
    ck_assert_ptr_eq(set.last, a);
    ck_assert_ptr_eq(replica_set_get(&set, "d"), a->next);
}
END_TEST

START_TEST(states_are_counted)
{
    struct replica *a = ready_replica(&set, "a", 1, 10), *b = ready_replica(&set, "b", 2, 20);
    ck_assert_int_eq(replica_set_longest(&set), 20);
    replica_set_state(&set, b, REPLICA_DRAINING);
    ck_assert_int_eq(replica_set_longest(&set), 10);
    ck_assert(replica_set_any(&set, REPLICA_READY) && replica_set_any(&set, REPLICA_DRAINING));
    replica_set_state(&set, a, REPLICA_FAILED);
    ck_assert(!replica_set_any(&set, REPLICA_READY));
    ck_assert_int_eq(replica_set_longest(&set), -1);
    replica_set_remove(&set, a);
    ck_assert(!replica_set_any(&set, REPLICA_FAILED) && !replica_set_any(&set, REPLICA_STARTING));
}
END_TEST

TCase *replica_set_case(void)
{
    TCase *cases = tcase_create("replica_set");
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_test(cases, they_are_found_by_name_and_by_connection);
    tcase_add_test(cases, a_connection_that_is_gone_leads_nowhere);
    tcase_add_test(cases, one_that_goes_leaves_the_others_in_order);
    tcase_add_test(cases, states_are_counted);
    return cases;
}
