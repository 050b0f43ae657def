/* The clock that only goes forward, and waits by it. */
#include "common/clock.h"

#include <math.h>

#include "tests/common/suites.h"

static double seconds_until(struct timespec moment)
{
    return (double)moment.tv_sec + 1e-9 * (double)moment.tv_nsec - clock_seconds();
}

START_TEST(moments_are_as_far_away_as_they_say)
{
    static const double seconds[] = {0, 0.25, 0.999999999, 1, 1.75, 3600.5};
    for (unsigned i = 0; i < sizeof seconds / sizeof *seconds; i++) {
        struct timespec moment = clock_after(seconds[i]);
        ck_assert_int_ge(moment.tv_nsec, 0);
        ck_assert_int_lt(moment.tv_nsec, 1000000000);
        ck_assert_double_le(seconds_until(moment), seconds[i] + 1e-6);
        ck_assert_double_ge(seconds_until(moment), seconds[i] - 5);
    }
}
END_TEST

START_TEST(what_is_no_time_to_wait_is_now_or_for_decades)
{
    ck_assert_double_le(seconds_until(clock_after(-3)), 0.0);
    ck_assert_double_le(seconds_until(clock_after(-INFINITY)), 0.0);
    ck_assert_double_ge(seconds_until(clock_after(INFINITY)), 9e8);
    ck_assert_double_ge(seconds_until(clock_after(1e300)), 9e8);
}
END_TEST

/* Nobody signals: the wait ends by itself, by the clock that clock_after reads, and not before. */
START_TEST(a_wait_ends_when_its_moment_comes)
{
    pthread_cond_t condition;
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    clock_condition_init(&condition);
    const struct timespec moment = clock_after(0.02);
    pthread_mutex_lock(&mutex);
    while (clock_wait_until(&condition, &mutex, &moment))
        continue;
    pthread_mutex_unlock(&mutex);
    ck_assert_double_le(seconds_until(moment), 0.0);
    pthread_cond_destroy(&condition);
}
END_TEST

Suite *clock_suite(void)
{
    Suite *suite = suite_create("clock");
    TCase *tests = tcase_create("clock");
    tcase_add_test(tests, moments_are_as_far_away_as_they_say);
    tcase_add_test(tests, what_is_no_time_to_wait_is_now_or_for_decades);
    tcase_add_test(tests, a_wait_ends_when_its_moment_comes);
    suite_add_tcase(suite, tests);
    return suite;
}
