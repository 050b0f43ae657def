#include "coordinator/scheduler/snapshot.h"

#include "tests/coordinator/scheduler/capacity_cases.h"

static struct replica_set set;
static struct queue queue;
static struct snapshot snapshot;

static void set_up(void)
{
    set = (struct replica_set){0};
    queue = (struct queue){0};
}

static void tear_down(void)
{
    snapshot_release(&snapshot);
    for (struct replica *replica = set.first; replica; replica = replica->next) {
        while (replica->running.first)
            replica_set_remove_run(&set, replica, replica->running.first);
    }
    replica_set_free(&set);
}

static void take(int starts)
{
    ck_assert_int_eq(snapshot_take(&snapshot, &queue, &set, starts, NULL), STATUS_OK);
}

START_TEST(the_first_of_each_class_are_in_it)
{
    enum { N_NORMAL = SNAPSHOT_WINDOW + 10 };
    static struct run normal[N_NORMAL], high;
    for (int i = 0; i < N_NORMAL; i++) {
        normal[i] = plain_run(CLASS_NORMAL, 10, 4, i);
        queue_insert(&queue, &normal[i]);
    }
    high = plain_run(CLASS_HIGH, 20, 8, 99);
    queue_insert(&queue, &high);
    take(2);
    ck_assert_int_eq(snapshot.input.n_waiting, 1 + SNAPSHOT_WINDOW);
    ck_assert(snapshot.is_window);
    ck_assert_int_eq(snapshot.input.starts, 2);
    ck_assert_ptr_eq(snapshot.waiting_runs[0], &high);
    ck_assert_uint_eq(snapshot.waiting[0].number, high.number);
    ck_assert_int_eq(snapshot.waiting[0].length, 20);
    ck_assert_uint_eq(snapshot.waiting[0].steps_left, 8);
    ck_assert_double_eq(snapshot.waiting[0].accepted_at, 99);
    ck_assert_int_eq(snapshot.waiting[0].replica, -1);
    for (int i = 0; i < SNAPSHOT_WINDOW; i++)
        ck_assert_ptr_eq(snapshot.waiting_runs[1 + i], &normal[i]);
}
END_TEST

START_TEST(suspects_are_not)
{
    static struct run good, suspect;
    good = plain_run(CLASS_NORMAL, 10, 4, 0);
    suspect = plain_run(CLASS_NORMAL, 10, 4, 0);
    suspect.n_losses = SUSPECT_LOSSES;
    queue_insert(&queue, &suspect);
    queue_insert(&queue, &good);
    take(0);
    ck_assert_int_eq(snapshot.input.n_waiting, 1);
    ck_assert(!snapshot.is_window);
    ck_assert_ptr_eq(snapshot.waiting_runs[0], &good);
}
END_TEST

START_TEST(what_a_draining_replica_runs_comes_first)
{
    struct replica *leaving = ready_replica(&set, "r0", 4, 100);
    ready_replica(&set, "r1", 4, 100);
    static struct run moving, waiting;
    moving = plain_run(CLASS_LOW, 10, 4, 0);
    waiting = plain_run(CLASS_HIGH, 10, 4, 0);
    place_run(&set, leaving, &moving);
    queue_insert(&queue, &waiting);
    take(0);
    ck_assert_int_eq(snapshot.input.n_waiting, 1);
    snapshot_release(&snapshot);
    replica_set_state(&set, leaving, REPLICA_DRAINING);
    take(0);
    ck_assert_int_eq(snapshot.input.n_waiting, 2);
    ck_assert_ptr_eq(snapshot.waiting_runs[0], &moving);
    ck_assert_int_eq(snapshot.waiting[0].replica, leaving->index);
    ck_assert(!snapshot.input.replicas[0].open && snapshot.input.replicas[1].open);
}
END_TEST

START_TEST(replicas_are_equal_until_all_are_measured)
{
    struct replica *first = ready_replica(&set, "r0", 4, 100), *second = ready_replica(&set, "r1", 4, 100);
    take(0);
    ck_assert(snapshot.input.equal_slowness);
    snapshot_release(&snapshot);
    measure_replica(&set, first, 100, 0.5);
    take(0);
    ck_assert(snapshot.input.equal_slowness);
    snapshot_release(&snapshot);
    measure_replica(&set, second, 100, 1);
    take(0);
    ck_assert(!snapshot.input.equal_slowness);
    ck_assert_double_eq_tol(snapshot.input.replicas[1].slowness, 2 * snapshot.input.replicas[0].slowness,
                            1e-12);
    snapshot_release(&snapshot);
    second->cost = (struct cost_model){0};
    replica_set_update(&set, second);
    replica_set_state(&set, second, REPLICA_DRAINING); /* who takes nothing is not compared */
    take(0);
    ck_assert(!snapshot.input.equal_slowness);
}
END_TEST

TCase *snapshot_case(void)
{
    TCase *cases = tcase_create("snapshot");
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_test(cases, the_first_of_each_class_are_in_it);
    tcase_add_test(cases, suspects_are_not);
    tcase_add_test(cases, what_a_draining_replica_runs_comes_first);
    tcase_add_test(cases, replicas_are_equal_until_all_are_measured);
    return cases;
}
