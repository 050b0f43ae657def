/* The page that Prometheus reads, and the figures that are made of what was counted. */
#include <check.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "coordinator/monitoring/histogram.h"
#include "coordinator/monitoring/metrics.h"
#include "coordinator/monitoring/process_usage.h"

static const double bounds[] = {1, 2, 4};

/* ---- the text ---- */

START_TEST(test_samples_are_written_as_the_format_asks)
{
    struct exposition page = {0};
    exposition_family(&page, "a_total", "counter", "Back\\slash,\nnew line and \"quotes\".");
    exposition_sample(&page, "a_total", 3, NULL);
    exposition_sample(&page, "a_total", 0.1, "l", "x\\y\"z\nw", "m", "", NULL);
    exposition_sample(&page, "a_total", 18446744073709551615.0, NULL);
    exposition_sample(&page, "a_total", 1.0 / 3, NULL);
    exposition_sample(&page, "a_total", NAN, NULL);
    exposition_sample(&page, "a_total", -INFINITY, NULL);
    ck_assert_str_eq(page.text, "# HELP a_total Back\\\\slash,\\nnew line and \"quotes\".\n"
                                "# TYPE a_total counter\n"
                                "a_total 3\n"
                                "a_total{l=\"x\\\\y\\\"z\\nw\",m=\"\"} 0.1\n"
                                "a_total 1.8446744073709552e+19\n"
                                "a_total 0.3333333333333333\n"
                                "a_total NaN\n"
                                "a_total -Inf\n");
    ck_assert_uint_eq(page.size, strlen(page.text));
    ck_assert(!page.incomplete);
    exposition_free(&page);
}
END_TEST

START_TEST(test_a_label_that_is_not_utf8_is_repaired)
{
    struct exposition page = {0};
    exposition_sample(&page, "a", 1, "l", "caf\xe9", NULL);
    ck_assert_str_eq(page.text, "a{l=\"caf\xef\xbf\xbd\"} 1\n");
    exposition_free(&page);
}
END_TEST

START_TEST(test_a_long_page_grows)
{
    struct exposition page = {0};
    for (int i = 0; i < 10000; i++)
        exposition_sample(&page, "name", i, NULL);
    ck_assert_int_eq(strncmp(page.text + page.size - 10, "name 9999\n", 10), 0);
    exposition_free(&page);
}
END_TEST

/* ---- histograms ---- */

START_TEST(test_a_bound_belongs_to_its_bucket)
{
    struct histogram histogram;
    histogram_init(&histogram, bounds, 3, 1e-9);
    const double values[] = {0.5, 1, 1.5, 2, 4, 4.000001, 1e300, -1, NAN};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        histogram_observe(&histogram, values[i]);
    struct histogram_copy copy = histogram_copy(&histogram);
    const uint64_t expected[] = {4, 2, 1, 2}; /* what is negative or no number counts as 0 */
    for (int i = 0; i < 4; i++)
        ck_assert_uint_eq(copy.counts[i], expected[i]);
    ck_assert_uint_eq(copy.n, 9);
}
END_TEST

START_TEST(test_the_sum_keeps_nanoseconds)
{
    struct histogram histogram;
    histogram_init(&histogram, bounds, 3, 1e-9);
    for (int i = 0; i < 1000; i++)
        histogram_observe(&histogram, 0.001234567);
    struct histogram_copy copy = histogram_copy(&histogram);
    ck_assert_double_eq_tol(copy.sum, 1.234567, 1e-9);
}
END_TEST

START_TEST(test_quantiles_are_linear_within_a_bucket)
{
    struct histogram histogram;
    histogram_init(&histogram, bounds, 3, 1);
    struct histogram_copy empty = histogram_copy(&histogram);
    ck_assert(isnan(histogram_quantile(&empty, 0.5)));
    for (int i = 0; i < 10; i++)
        histogram_observe(&histogram, 1.5); /* all in (1, 2] */
    struct histogram_copy copy = histogram_copy(&histogram);
    ck_assert_double_eq_tol(histogram_quantile(&copy, 0.5), 1.5, 1e-12);
    ck_assert_double_eq_tol(histogram_quantile(&copy, 0.95), 1.95, 1e-12);
    for (int i = 0; i < 90; i++)
        histogram_observe(&histogram, 100);
    copy = histogram_copy(&histogram);
    ck_assert_double_eq(histogram_quantile(&copy, 0.5), 4); /* above all bounds: the last of them */
    ck_assert_double_eq_tol(histogram_quantile(&copy, 0.05), 1.5, 1e-12);
}
END_TEST

START_TEST(test_a_difference_has_only_what_came_between)
{
    struct histogram histogram;
    histogram_init(&histogram, bounds, 3, 1);
    histogram_observe(&histogram, 3);
    struct histogram_copy before = histogram_copy(&histogram);
    histogram_observe(&histogram, 1);
    histogram_observe(&histogram, 2);
    struct histogram_copy now = histogram_copy(&histogram);
    struct histogram_copy between = histogram_since(&now, &before);
    ck_assert_uint_eq(between.n, 2);
    ck_assert_double_eq(between.sum, 3);
    ck_assert_uint_eq(between.counts[2], 0);
}
END_TEST

/* ---- what is counted ---- */

static bool page_has(const struct metrics *metrics, const char *line)
{
    struct exposition page = {0};
    metrics_write(metrics, &page);
    char with_breaks[256];
    snprintf(with_breaks, sizeof with_breaks, "\n%s\n", line);
    bool found = strstr(page.text, with_breaks) != NULL;
    exposition_free(&page);
    return found;
}

/* A request of 120 positions, 20 of them pinned, accepted at 100 s. */
static const struct run run = {.length = 120, .n_pinned = 20, .class = CLASS_HIGH, .accepted_at = 100};

static void tell(struct metrics *metrics, struct scheduler_event event)
{
    event.class = run.class;
    event.run = event.kind == EVENT_REFUSED ? NULL : &run;
    metrics_observe(metrics, &event);
}

static void tell_one_of_each(struct metrics *metrics)
{
    tell(metrics, (struct scheduler_event){EVENT_ACCEPTED, .now = 100});
    tell(metrics, (struct scheduler_event){EVENT_REFUSED, .refusal = REFUSED_DEADLINE});
    tell(metrics, (struct scheduler_event){EVENT_STARTED, .now = 100.2});
    tell(metrics, (struct scheduler_event){EVENT_STARTED, .now = 500, .again = true});
    tell(metrics, (struct scheduler_event){EVENT_FIRST_FRAME, .now = 100.3});
    tell(metrics, (struct scheduler_event){EVENT_STEP, .step_seconds = 0.04, .n_changed = 0});
    tell(metrics, (struct scheduler_event){EVENT_STEP, .step_seconds = 0.04, .n_changed = 3});
    tell(metrics, (struct scheduler_event){EVENT_PREEMPTED});
    tell(metrics, (struct scheduler_event){EVENT_LOST});
    tell(metrics, (struct scheduler_event){EVENT_MOVED});
    tell(metrics, (struct scheduler_event){EVENT_ENDED, .now = 100.7, .status = STATUS_OK});
    tell(metrics, (struct scheduler_event){EVENT_ENDED, .now = 300, .status = STATUS_UNAVAILABLE});
    tell(metrics, (struct scheduler_event){EVENT_ENDED, .now = 300, .status = STATUS_CANCELLED});
    metrics_count_invalid(metrics);
    metrics_count_unauthorised(metrics);
}

START_TEST(test_every_event_has_its_counter)
{
    static const char *const lines[] = {
        "millrace_requests_accepted_total{priority=\"high\"} 1",
        "millrace_requests_accepted_total{priority=\"normal\"} 0",
        "millrace_requests_refused_total{reason=\"deadline\"} 1",
        "millrace_requests_refused_total{reason=\"invalid\"} 1",
        "millrace_requests_refused_total{reason=\"unauthorised\"} 1",
        "millrace_requests_refused_total{reason=\"memory\"} 0",
        "millrace_request_queue_seconds_bucket{le=\"0.1\"} 0",
        "millrace_request_queue_seconds_bucket{le=\"0.25\"} 1",
        "millrace_request_queue_seconds_bucket{le=\"+Inf\"} 1", /* it started again, but waited once */
        "millrace_request_first_frame_seconds_count 1",
        "millrace_step_changed_positions_bucket{le=\"0\"} 1",
        "millrace_step_changed_positions_bucket{le=\"4\"} 2",
        "millrace_step_changed_positions_sum 3",
        "millrace_step_seconds_sum 0.08",
        "millrace_preemptions_total 1",
        "millrace_failovers_total 1",
        "millrace_moves_total 1",
        "millrace_requests_total{outcome=\"finished\",priority=\"high\"} 1",
        "millrace_requests_total{outcome=\"failed\",priority=\"high\"} 1",
        "millrace_requests_total{outcome=\"cancelled\",priority=\"high\"} 1",
        "millrace_requests_total{outcome=\"cancelled\",priority=\"low\"} 0",
        "millrace_request_failures_total{code=\"UNAVAILABLE\"} 1",
        "millrace_request_failures_total{code=\"INTERNAL\"} 0",
        "millrace_request_seconds_count 1", /* of those that finished */
        "millrace_generated_tokens_total 100",
    };
    struct metrics *metrics = metrics_create();
    tell_one_of_each(metrics);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        ck_assert_msg(page_has(metrics, lines[i]), "not on the page: %s", lines[i]);
    metrics_free(metrics);
}
END_TEST

enum { N_THREADS = 4, N_EVENTS = 20000 };

static void *tell_many(void *metrics)
{
    for (int i = 0; i < N_EVENTS; i++)
        tell(metrics, (struct scheduler_event){EVENT_STEP, .step_seconds = 0.001, .n_changed = 2});
    return NULL;
}

/* Counting waits for no reader, and none of it is lost. */
START_TEST(test_threads_count_while_others_read)
{
    struct metrics *metrics = metrics_create();
    pthread_t threads[N_THREADS];
    for (int i = 0; i < N_THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, tell_many, metrics), 0);
    for (int i = 0; i < 50; i++) {
        ck_assert(!page_has(metrics, "no such line"));
        metrics_tick(metrics, i);
        metrics_recent(metrics, i + 0.5);
    }
    for (int i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    ck_assert(page_has(metrics, "millrace_step_changed_positions_sum 160000"));
    ck_assert(page_has(metrics, "millrace_step_changed_positions_count 80000"));
    ck_assert(page_has(metrics, "millrace_step_seconds_sum 80"));
    metrics_free(metrics);
}
END_TEST

/* ---- recent figures ---- */

START_TEST(test_recent_figures_forget)
{
    struct metrics *metrics = metrics_create();
    ck_assert_double_eq(metrics_recent(metrics, 5).seconds, 0);
    metrics_tick(metrics, 1000);
    for (int i = 0; i < 20; i++) {
        tell(metrics, (struct scheduler_event){EVENT_STEP, .step_seconds = 0.1, .n_changed = 30});
        tell(metrics, (struct scheduler_event){EVENT_ENDED, .now = 102, .status = STATUS_OK});
    }
    struct metrics_recent recent = metrics_recent(metrics, 1010);
    ck_assert_double_eq(recent.seconds, 10);
    ck_assert_double_eq_tol(recent.requests_per_second, 2, 1e-9);
    ck_assert_double_eq_tol(recent.tokens_per_second, 200, 1e-9);
    ck_assert_double_eq_tol(recent.changes_per_step, 30, 1e-9);
    ck_assert_double_eq_tol(recent.total_p50, 1 + 1.5 / 2, 1e-9); /* in (1, 2.5] */
    ck_assert(isnan(recent.queue_p50));
    for (int second = 1000; second < 1100; second++)
        metrics_tick(metrics, second);
    recent = metrics_recent(metrics, 1100);
    ck_assert_double_eq(recent.requests_per_second, 0);
    ck_assert(recent.seconds >= 55 && recent.seconds <= 66);
    ck_assert(isnan(recent.total_p95));
    metrics_free(metrics);
}
END_TEST

/* ---- what the process takes ---- */

/* The value of a line "NAME VALUE" of the page; NaN without one. */
static double figure(const char *name)
{
    struct exposition page = {0};
    char before[64];
    process_usage_write(&page);
    snprintf(before, sizeof before, "\n%s ", name);
    const char *line = strstr(page.text, before);
    double value = line ? strtod(line + strlen(before), NULL) : NAN;
    exposition_free(&page);
    return value;
}

START_TEST(test_a_descriptor_more_is_counted)
{
    double before = figure("process_open_fds");
    int descriptor = dup(1);
    ck_assert_double_eq(figure("process_open_fds"), before + 1);
    close(descriptor);
    ck_assert_double_eq(figure("process_open_fds"), before);
    ck_assert_double_ge(figure("process_max_fds"), before);
}
END_TEST

static void *wait_for_the_end(void *pipe_end)
{
    char byte;
    return (void *)read(*(int *)pipe_end, &byte, 1);
}

START_TEST(test_a_thread_more_is_counted)
{
    int ends[2];
    pthread_t thread;
    double before = figure("process_threads");
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, wait_for_the_end, &ends[0]), 0);
    ck_assert_double_eq(figure("process_threads"), before + 1);
    close(ends[1]);
    pthread_join(thread, NULL);
    close(ends[0]);
}
END_TEST

START_TEST(test_times_and_memory_are_those_of_this_process)
{
    struct timespec cpu;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    double started = figure("process_start_time_seconds"), spent = figure("process_cpu_seconds_total");
    ck_assert_double_le(started, (double)time(NULL) + 1);
    ck_assert_double_ge(started, (double)time(NULL) - 3600); /* CTest ends it sooner */
    ck_assert_double_eq_tol(spent, (double)cpu.tv_sec + 1e-9 * (double)cpu.tv_nsec, 0.5);
    ck_assert_double_ge(figure("process_resident_memory_bytes"), 1 << 16);
    ck_assert_double_ge(figure("process_virtual_memory_bytes"), figure("process_resident_memory_bytes"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("metrics");
    TCase *tests = tcase_create("metrics");
    tcase_add_test(tests, test_samples_are_written_as_the_format_asks);
    tcase_add_test(tests, test_a_label_that_is_not_utf8_is_repaired);
    tcase_add_test(tests, test_a_long_page_grows);
    tcase_add_test(tests, test_a_bound_belongs_to_its_bucket);
    tcase_add_test(tests, test_the_sum_keeps_nanoseconds);
    tcase_add_test(tests, test_quantiles_are_linear_within_a_bucket);
    tcase_add_test(tests, test_a_difference_has_only_what_came_between);
    tcase_add_test(tests, test_every_event_has_its_counter);
    tcase_add_test(tests, test_threads_count_while_others_read);
    tcase_add_test(tests, test_recent_figures_forget);
    tcase_add_test(tests, test_a_descriptor_more_is_counted);
    tcase_add_test(tests, test_a_thread_more_is_counted);
    tcase_add_test(tests, test_times_and_memory_are_those_of_this_process);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
