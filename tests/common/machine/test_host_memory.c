/* The memory limit of control groups, read from files as the kernel shows them. */
#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/temporary.h"
#include "common/machine/host_memory.h"

static char mount[TEMPORARY_ROOM], groups[TEMPORARY_ROOM + 8];

static void make_directory(const char *name)
{
    char path[TEMPORARY_ROOM + 64];
    snprintf(path, sizeof path, "%s/%s", mount, name);
    ck_assert_int_eq(mkdir(path, 0700), 0);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

static void write_limit(const char *name, const char *text)
{
    char path[TEMPORARY_ROOM + 64];
    snprintf(path, sizeof path, "%s/%s", mount, name);
    write_file(path, text);
}

static void check_limit(const char *list, size_t expected)
{
    write_file(groups, list);
    size_t limit = host_memory_limit(groups, mount);
    ck_assert_msg(limit == expected, "%s: %zu, not %zu", list, limit, expected);
}

static void make_files(void)
{
    static const char *const directories[] = {"jobs", "jobs/one", "memory", "memory/box", "memory/box/inner"};
    struct error error;
    ck_assert_int_eq(temporary_directory(mount, "cgroup", &error), STATUS_OK);
    snprintf(groups, sizeof groups, "%s/groups", mount);
    for (size_t i = 0; i < sizeof directories / sizeof *directories; i++)
        make_directory(directories[i]);
    write_limit("jobs/memory.max", "5000\n");
    write_limit("jobs/one/memory.max", "max\n");
    write_limit("memory/memory.limit_in_bytes", "9223372036854771712\n");
    write_limit("memory/box/memory.limit_in_bytes", "7000\n");
    write_limit("memory/box/inner/memory.limit_in_bytes", "8000\n");
}

static void remove_files(void)
{
    char command[TEMPORARY_ROOM + 32];
    snprintf(command, sizeof command, "rm -r '%s'", mount);
    ck_assert_int_eq(system(command), 0);
}

START_TEST(the_least_of_a_group_and_those_above_it)
{
    check_limit("0::/jobs/one\n", 5000); /* "max" below a limit */
    check_limit("0::/jobs\n", 5000);
    check_limit("0::/\n", SIZE_MAX);
    check_limit("4:cpu,memory:/box/inner\n0::/\n", 7000);
    check_limit("4:memory:/box/inner\n0::/jobs\n", 5000);
    check_limit("4:memory:/\n", 9223372036854771712u);
    check_limit("3:cpuset,memorybox:/box\n", SIZE_MAX);
    check_limit("4:memory:/of/the/host/box\n", 9223372036854771712u); /* not shown here: the root still is */
    write_limit("memory.max", "4000");                                /* a container's own, as its root */
    check_limit("0::/of/the/host\n", 4000);
}
END_TEST

START_TEST(what_cannot_be_read_limits_nothing)
{
    check_limit("", SIZE_MAX);
    write_limit("memory.max", "4000");
    check_limit("nonsense\n:\n0::\n", 4000);
    write_limit("memory.max", "much");
    check_limit("0::/\n", SIZE_MAX);
    ck_assert_uint_eq(host_memory_limit("/nowhere", mount), SIZE_MAX);
    size_t here = host_memory_bytes();
    ck_assert(here > 0 && here < SIZE_MAX);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("host memory");
    TCase *cases = tcase_create("limits");
    tcase_add_checked_fixture(cases, make_files, remove_files);
    tcase_add_test(cases, the_least_of_a_group_and_those_above_it);
    tcase_add_test(cases, what_cannot_be_read_limits_nothing);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
