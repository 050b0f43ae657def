/* A change of a file is noticed, however it is made. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/file_watch.h"
#include "common/temporary.h"
#include "tests/common/suites.h"

#define PERIOD_SECONDS 0.01

static struct {
    char directory[TEMPORARY_ROOM], file[TEMPORARY_ROOM + 8], other[TEMPORARY_ROOM + 8],
        link[TEMPORARY_ROOM + 8];
    struct file_watch *watch;
    pthread_mutex_t mutex; /* guards n_changes */
    pthread_cond_t changed;
    int n_changes;
} fixture;

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    ck_assert_int_eq(fclose(file), 0);
}

static atomic_int n_false_alarms;

static void on_stay(void *context)
{
    (void)context;
    atomic_fetch_add(&n_false_alarms, 1);
}

static void on_change(void *context)
{
    (void)context;
    pthread_mutex_lock(&fixture.mutex);
    fixture.n_changes++;
    pthread_cond_signal(&fixture.changed);
    pthread_mutex_unlock(&fixture.mutex);
}

static void watch_paths(const char *first, const char *second)
{
    struct error error;
    const struct file_watch_item item = {{first, second}, on_change, NULL};
    fixture.n_changes = 0;
    ck_assert_int_eq(file_watch_start(&item, 1, PERIOD_SECONDS, &fixture.watch, &error), STATUS_OK);
}

static void wait_for_changes(int n)
{
    pthread_mutex_lock(&fixture.mutex);
    while (fixture.n_changes < n)
        pthread_cond_wait(&fixture.changed, &fixture.mutex);
    pthread_mutex_unlock(&fixture.mutex);
}

static void set_up(void)
{
    memset(&fixture, 0, sizeof fixture);
    pthread_mutex_init(&fixture.mutex, NULL);
    pthread_cond_init(&fixture.changed, NULL);
    struct error error;
    ck_assert_int_eq(temporary_directory(fixture.directory, "watch", &error), STATUS_OK);
    snprintf(fixture.file, sizeof fixture.file, "%s/file", fixture.directory);
    snprintf(fixture.other, sizeof fixture.other, "%s/other", fixture.directory);
    snprintf(fixture.link, sizeof fixture.link, "%s/link", fixture.directory);
    write_file(fixture.file, "one");
}

static void tear_down(void)
{
    file_watch_stop(fixture.watch);
    unlink(fixture.file);
    unlink(fixture.other);
    unlink(fixture.link);
    rmdir(fixture.directory);
    pthread_cond_destroy(&fixture.changed);
    pthread_mutex_destroy(&fixture.mutex);
}

START_TEST(new_content_is_noticed)
{
    watch_paths(fixture.file, NULL);
    write_file(fixture.file, "two and more");
    wait_for_changes(1);
}
END_TEST

/* Of the same size, as a token that is exchanged for another. */
START_TEST(a_file_that_takes_its_place_is_noticed)
{
    watch_paths(fixture.file, NULL);
    write_file(fixture.other, "two");
    ck_assert_int_eq(rename(fixture.other, fixture.file), 0);
    wait_for_changes(1);
}
END_TEST

START_TEST(a_link_that_is_switched_is_noticed)
{
    write_file(fixture.other, "one");
    ck_assert_int_eq(symlink("file", fixture.link), 0);
    watch_paths(NULL, fixture.link);
    ck_assert_int_eq(unlink(fixture.link), 0);
    wait_for_changes(1); /* gone */
    ck_assert_int_eq(symlink("other", fixture.link), 0);
    wait_for_changes(2); /* and back, to another */
}
END_TEST

START_TEST(what_is_behind_a_link_counts)
{
    ck_assert_int_eq(symlink("file", fixture.link), 0);
    watch_paths(fixture.link, NULL);
    write_file(fixture.file, "two and more");
    wait_for_changes(1);
}
END_TEST

START_TEST(what_stays_is_not_told)
{
    struct error error;
    write_file(fixture.other, "one");
    const struct file_watch_item items[] = {
        {{fixture.other}, on_stay, NULL},
        {{fixture.file}, on_change, NULL},
    };
    ck_assert_int_eq(file_watch_start(items, 2, PERIOD_SECONDS, &fixture.watch, &error), STATUS_OK);
    write_file(fixture.file, "longer than before");
    wait_for_changes(1);
    ck_assert_int_eq(unlink(fixture.file), 0);
    wait_for_changes(2);
    ck_assert_int_eq(atomic_load(&n_false_alarms), 0);
}
END_TEST

START_TEST(an_end_waits_for_no_period)
{
    struct error error;
    const struct file_watch_item item = {{fixture.file}, on_change, NULL};
    ck_assert_int_eq(file_watch_start(&item, 1, 1e6, &fixture.watch, &error), STATUS_OK);
} /* tear_down stops it */
END_TEST

Suite *file_watch_suite(void)
{
    Suite *suite = suite_create("file_watch");
    TCase *tests = tcase_create("file_watch");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, new_content_is_noticed);
    tcase_add_test(tests, a_file_that_takes_its_place_is_noticed);
    tcase_add_test(tests, a_link_that_is_switched_is_noticed);
    tcase_add_test(tests, what_is_behind_a_link_counts);
    tcase_add_test(tests, what_stays_is_not_told);
    tcase_add_test(tests, an_end_waits_for_no_period);
    suite_add_tcase(suite, tests);
    return suite;
}
