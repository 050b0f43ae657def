#include "coordinator/scheduler/estimate.h"

#include <math.h>

#include "common/clock.h"
#include "tests/coordinator/scheduler/capacity_cases.h"

#define NEAR 1e-9

static struct replica_set set;
static struct queue queue;
static const struct policy_rules rules = {.due_seconds = 30, .due_share = 4};

static void set_up(void)
{
    set = (struct replica_set){0};
    queue = (struct queue){0};
}

static void tear_down(void)
{
    for (struct replica *replica = set.first; replica; replica = replica->next) {
        while (replica->running.first)
            replica_set_remove_run(&set, replica, replica->running.first);
    }
    replica_set_free(&set);
}

static struct estimate estimate(enum request_class class, int length, int steps)
{
    static struct run newcomer;
    newcomer = plain_run(class, length, steps, 0);
    return estimate_run(&queue, &set, &rules, &newcomer, steps, ESTIMATE_LIKELY);
}

START_TEST(nothing_is_known_before_a_step)
{
    ck_assert(isnan(estimate_rate(&set, ESTIMATE_LIKELY)));
    ready_replica(&set, "r0", 4, 100);
    struct estimate unknown = estimate(CLASS_NORMAL, 10, 4);
    ck_assert(isnan(estimate_total(&unknown)));
}
END_TEST

START_TEST(an_idle_replica_starts_at_once)
{
    measure_replica(&set, ready_replica(&set, "r0", 4, 100), 100, 0.5);
    struct estimate now = estimate(CLASS_NORMAL, 10, 4);
    ck_assert_double_eq_tol(now.wait_seconds, 0, NEAR);
    ck_assert_double_eq_tol(now.run_seconds, 4 * 0.5, NEAR);
    ck_assert_double_eq_tol(estimate_rate(&set, ESTIMATE_LIKELY), 200, NEAR);
}
END_TEST

START_TEST(a_full_one_is_waited_for)
{
    struct replica *replica = ready_replica(&set, "r0", 4, 100);
    static struct run first, second;
    first = plain_run(CLASS_NORMAL, 60, 3, 0);
    second = plain_run(CLASS_NORMAL, 40, 7, 0);
    measure_replica(&set, replica, 100, 0.5);
    place_run(&set, replica, &first);
    place_run(&set, replica, &second);
    struct estimate shorter = estimate(CLASS_NORMAL, 60, 2), longer = estimate(CLASS_NORMAL, 61, 2);
    ck_assert_double_eq_tol(shorter.wait_seconds, 3 * 0.5, NEAR);
    ck_assert_double_eq_tol(longer.wait_seconds, 7 * 0.5, NEAR);
    struct estimate never = estimate(CLASS_NORMAL, 101, 2);
    ck_assert(isinf(estimate_total(&never)));
}
END_TEST

START_TEST(what_gives_way_does_not_count)
{
    struct replica *replica = ready_replica(&set, "r0", 4, 100);
    double now = clock_seconds();
    static struct run due, young;
    due = plain_run(CLASS_LOW, 50, 9, now - 60);
    young = plain_run(CLASS_LOW, 50, 5, now - 1);
    measure_replica(&set, replica, 100, 0.5);
    place_run(&set, replica, &due);
    place_run(&set, replica, &young);
    struct estimate high = estimate(CLASS_HIGH, 50, 2), large = estimate(CLASS_HIGH, 60, 2),
                    low = estimate(CLASS_LOW, 50, 2);
    ck_assert_double_eq_tol(high.wait_seconds, 0.25, NEAR); /* half of the step under way */
    ck_assert_double_eq_tol(large.wait_seconds, 9 * 0.5, NEAR);
    ck_assert_double_eq_tol(low.wait_seconds, 5 * 0.5, NEAR);
}
END_TEST

START_TEST(what_waits_before_it_takes_its_time)
{
    measure_replica(&set, ready_replica(&set, "r0", 4, 100), 100, 0.5);
    measure_replica(&set, ready_replica(&set, "r1", 4, 100), 100, 1);
    static struct run high, low;
    high = plain_run(CLASS_HIGH, 90, 10, 0);
    low = plain_run(CLASS_LOW, 100, 50, 0);
    queue_insert(&queue, &high);
    queue_insert(&queue, &low);
    struct estimate normal = estimate(CLASS_NORMAL, 10, 4);
    ck_assert_double_eq_tol(normal.wait_seconds, 900.0 / (200 + 100), NEAR);
    ck_assert_double_eq_tol(normal.run_seconds, 4 * 0.5, NEAR); /* of the faster */
}
END_TEST

/* By definition, replica by replica and without a bound: the soonest end. */
static double soonest_end(int length, int steps)
{
    double soonest = INFINITY;
    for (int i = 0; i < set.n; i++) {
        const struct replica_pace *pace = &set.paces[i];
        const struct occupancy *occupancy = &set.places[i].occupancy;
        double busy = cost_line_seconds(&pace->line, fmin((double)occupancy->n_tokens, pace->max_tokens));
        double step =
            cost_line_seconds(&pace->line, fmin((double)occupancy->n_tokens + length, pace->max_tokens));
        uint32_t start = occupancy_start_in(occupancy, length, OCCUPANCY_NEVER);
        double wait = start == OCCUPANCY_NEVER ? INFINITY : fmax(start * busy, occupancy->n ? 0.5 * busy : 0);
        soonest = fmin(soonest, wait + steps * step);
    }
    return soonest;
}

START_TEST(the_bound_passes_over_none_that_is_better)
{
    enum { N_REPLICAS = 12, N_RUNS = 8 };
    static struct run runs[N_REPLICAS][N_RUNS];
    char name[8] = "r0";
    for (int i = 0; i < N_REPLICAS; i++) {
        name[1] = (char)('a' + i);
        struct replica *replica = ready_replica(&set, name, N_RUNS, 100 + 20 * (i * 7 % 5));
        measure_replica(&set, replica, 100, 0.1 * (1 + i * 5 % 7));
        for (int k = 0; k < 1 + (i * 3 + 5) % N_RUNS; k++) {
            runs[i][k] = plain_run(CLASS_NORMAL, 5 + (i * 31 + k * 17) % 40, 1 + (i * 13 + k * 11) % 20, 0);
            place_run(&set, replica, &runs[i][k]);
        }
    }
    for (int length = 1; length < 190; length += 3) {
        for (int steps = 1; steps <= 64; steps *= 2) {
            struct estimate found = estimate(CLASS_NORMAL, length, steps);
            double wanted = soonest_end(length, steps);
            if (isinf(wanted))
                ck_assert(isinf(estimate_total(&found)));
            else
                ck_assert_double_eq_tol(estimate_total(&found), wanted, NEAR);
        }
    }
}
END_TEST

START_TEST(room_now_is_room_within_the_steps_ahead)
{
    struct replica *replica = ready_replica(&set, "r0", 4, 100);
    static struct run running, newcomer;
    running = plain_run(CLASS_NORMAL, 100, 3, 0);
    newcomer = plain_run(CLASS_NORMAL, 50, 4, 0);
    ck_assert(estimate_starts_now(&set, &rules, &newcomer));
    place_run(&set, replica, &running);
    ck_assert(!estimate_starts_now(&set, &rules, &newcomer));
    replica->capacity.held_sequences = 4;
    replica->capacity.run_ahead_steps = 2;
    replica_set_update(&set, replica);
    ck_assert_uint_eq(replica_ahead_steps(replica), 3);
    ck_assert(estimate_starts_now(&set, &rules, &newcomer)); /* though nothing may be held: no positions */
    replica_set_state(&set, replica, REPLICA_DRAINING);
    ck_assert(!estimate_starts_now(&set, &rules, &newcomer));
}
END_TEST

TCase *estimate_case(void)
{
    TCase *cases = tcase_create("estimate");
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_test(cases, nothing_is_known_before_a_step);
    tcase_add_test(cases, an_idle_replica_starts_at_once);
    tcase_add_test(cases, a_full_one_is_waited_for);
    tcase_add_test(cases, what_gives_way_does_not_count);
    tcase_add_test(cases, what_waits_before_it_takes_its_time);
    tcase_add_test(cases, the_bound_passes_over_none_that_is_better);
    tcase_add_test(cases, room_now_is_room_within_the_steps_ahead);
    return cases;
}
