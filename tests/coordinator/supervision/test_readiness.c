/* Who started us learns once where we listen: through a file, a descriptor, or both. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "coordinator/supervision/readiness.h"

static char directory[] = "/tmp/millrace-readiness-XXXXXX", path[128];
static int ends[2];

static void set_up(void)
{
    strcpy(directory + strlen(directory) - 6, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/ready", directory);
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
}

static void tear_down(void)
{
    unlink(path);
    ck_assert_int_eq(rmdir(directory), 0); /* no temporary file is left */
    close(ends[0]);
}

/* All that a descriptor gives until its other end closes. */
static const char *read_all(int descriptor)
{
    static char text[256];
    ssize_t n, size = 0;
    while ((n = read(descriptor, text + size, sizeof text - 1 - (size_t)size)) > 0)
        size += n;
    ck_assert_int_eq(n, 0);
    text[size] = '\0';
    return text;
}

START_TEST(a_file_and_a_descriptor_are_told)
{
    struct readiness readiness = {.file = path, .descriptor = ends[1]};
    ck_assert(readiness_awaited(&readiness));
    readiness_tell(&readiness, "127.0.0.1:41235");
    ck_assert(!readiness_awaited(&readiness));
    ck_assert_str_eq(read_all(ends[0]), "127.0.0.1:41235\n"); /* and its end: the descriptor is closed */
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_str_eq(read_all(file), "127.0.0.1:41235\n");
    close(file);
}
END_TEST

START_TEST(only_the_first_replica_is_told_of)
{
    struct readiness readiness = {.file = path, .descriptor = -1};
    readiness_tell(&readiness, "first");
    ck_assert_int_eq(unlink(path), 0);
    readiness_tell(&readiness, "second");
    ck_assert_int_ne(access(path, F_OK), 0);
    close(ends[1]);
}
END_TEST

START_TEST(nobody_may_be_waiting)
{
    struct readiness readiness = {.descriptor = -1};
    ck_assert(!readiness_awaited(&readiness));
    readiness_tell(&readiness, "x");
    close(ends[1]);
}
END_TEST

/* A directory that is gone costs the file, not the descriptor. */
START_TEST(a_file_that_cannot_be_written_is_no_obstacle)
{
    char nowhere[160];
    snprintf(nowhere, sizeof nowhere, "%s/none/ready", directory);
    struct readiness readiness = {.file = nowhere, .descriptor = ends[1]};
    readiness_tell(&readiness, "127.0.0.1:1");
    ck_assert_str_eq(read_all(ends[0]), "127.0.0.1:1\n");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("readiness");
    TCase *tests = tcase_create("readiness");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, a_file_and_a_descriptor_are_told);
    tcase_add_test(tests, only_the_first_replica_is_told_of);
    tcase_add_test(tests, nobody_may_be_waiting);
    tcase_add_test(tests, a_file_that_cannot_be_written_is_no_obstacle);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
