/* The file by which probes see that a replica is ready, and that it still moves. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker/engine/ready_file.h"

enum { LONG_AGO = 1000 };

static char directory[] = "/tmp/millrace-ready-XXXXXX", path[64];

static time_t modified(void)
{
    struct stat status;
    ck_assert_int_eq(stat(path, &status), 0);
    return status.st_mtime;
}

static void make_old(void)
{
    const struct timespec times[2] = {{.tv_sec = LONG_AGO}, {.tv_sec = LONG_AGO}};
    ck_assert_int_eq(utimensat(AT_FDCWD, path, times, 0), 0);
}

START_TEST(its_time_moves_with_the_ranks)
{
    static struct meters meters;
    struct ready_file *file = ready_file_open(path, &meters);
    ck_assert_ptr_nonnull(file);
    make_old();
    ready_file_look(file);
    ck_assert_int_eq(modified(), LONG_AGO); /* nothing moved */
    meter_add(&meters, METER_PROGRESS, 1);
    ready_file_look(file);
    ck_assert_int_gt(modified(), LONG_AGO);
    make_old();
    ready_file_look(file);
    ck_assert_int_eq(modified(), LONG_AGO); /* not again */
    ready_file_close(file);
    ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

START_TEST(what_somebody_removed_stays_away)
{
    static struct meters meters;
    struct ready_file *file = ready_file_open(path, &meters);
    unlink(path);
    meter_add(&meters, METER_PROGRESS, 1);
    ready_file_look(file);
    ck_assert_int_ne(access(path, F_OK), 0);
    ready_file_close(file);
}
END_TEST

START_TEST(without_a_path_or_a_place_there_is_none)
{
    static struct meters meters;
    char nowhere[96];
    ck_assert_ptr_null(ready_file_open(NULL, &meters));
    snprintf(nowhere, sizeof nowhere, "%s/nowhere/file", directory);
    ck_assert_ptr_null(ready_file_open(nowhere, &meters));
    ready_file_close(NULL);
}
END_TEST

int main(void)
{
    if (!mkdtemp(directory))
        return 1;
    snprintf(path, sizeof path, "%s/ready", directory);
    Suite *suite = suite_create("ready_file");
    TCase *cases = tcase_create("ready_file");
    tcase_add_test(cases, its_time_moves_with_the_ranks);
    tcase_add_test(cases, what_somebody_removed_stays_away);
    tcase_add_test(cases, without_a_path_or_a_place_there_is_none);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    rmdir(directory);
    return n_failed != 0;
}
