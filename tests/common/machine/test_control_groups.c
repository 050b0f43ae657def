/* The limits of control groups, read from files as the kernel shows them. */
#include <check.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/machine/host_memory.h"
#include "tests/common/machine/fake_groups.h"
#include "tests/common/machine/suites.h"

static void check_memory(const char *list, size_t expected)
{
    struct control_groups groups = fake_groups_process(list);
    size_t limit = control_groups_memory_bytes(&groups);
    ck_assert_msg(limit == expected, "%s: %zu, not %zu", list, limit, expected);
}

static void check_quota(const char *list, double expected)
{
    struct control_groups groups = fake_groups_process(list);
    double quota = control_groups_cpu_quota(&groups);
    ck_assert_msg(quota == expected, "%s: %g, not %g", list, quota, expected);
}

static void make_groups(void)
{
    static const char *const directories[] = {"jobs", "jobs/one", "memory", "memory/box", "memory/box/inner",
                                              "cpu",  "cpu/box"};
    fake_groups_make();
    for (size_t i = 0; i < sizeof directories / sizeof *directories; i++)
        fake_groups_add(directories[i]);
    fake_groups_write("jobs/memory.max", "5000\n");
    fake_groups_write("jobs/cpu.max", "150000 100000\n");
    fake_groups_write("jobs/one/memory.max", "max\n");
    fake_groups_write("jobs/one/cpu.max", "max 100000\n");
    fake_groups_write("memory/memory.limit_in_bytes", "9223372036854771712\n");
    fake_groups_write("memory/box/memory.limit_in_bytes", "7000\n");
    fake_groups_write("memory/box/inner/memory.limit_in_bytes", "8000\n");
    fake_groups_write("cpu/cpu.cfs_quota_us", "-1\n");
    fake_groups_write("cpu/cpu.cfs_period_us", "100000\n");
    fake_groups_write("cpu/box/cpu.cfs_quota_us", "25000\n");
    fake_groups_write("cpu/box/cpu.cfs_period_us", "50000\n");
}

START_TEST(the_least_memory_of_a_group_and_those_above_it)
{
    check_memory("0::/jobs/one\n", 5000); /* "max" below a limit */
    check_memory("0::/jobs\n", 5000);
    check_memory("0::/\n", SIZE_MAX);
    check_memory("4:cpu,memory:/box/inner\n0::/\n", 7000);
    check_memory("4:memory:/box/inner\n0::/jobs\n", 5000);
    check_memory("4:memory:/\n", 9223372036854771712u);
    check_memory("3:cpuset,memorybox:/box\n", SIZE_MAX);
    check_memory("4:memory:/of/the/host/box\n", 9223372036854771712u); /* not shown here: the root still is */
    fake_groups_write("memory.max", "4000");                           /* a container's own, as its root */
    check_memory("0::/of/the/host\n", 4000);
}
END_TEST

START_TEST(the_least_quota_of_a_group_and_those_above_it)
{
    check_quota("0::/jobs/one\n", 1.5); /* "max" below a limit */
    check_quota("0::/\n", INFINITY);
    check_quota("4:cpu,cpuacct:/box\n0::/\n", 0.5);
    check_quota("4:cpuacct,cpu:/box\n", 0.5);
    check_quota("3:cpuset,cpuacct:/box\n", INFINITY);
    check_quota("4:cpu:/\n", INFINITY); /* a quota of -1 */
    check_quota("4:cpu:/box\n0::/jobs\n", 0.5);
    fake_groups_write("cpu.max", "200000 100000"); /* a container's own, as its root */
    check_quota("0::/of/the/host\n", 2);
}
END_TEST

START_TEST(what_cannot_be_read_limits_nothing)
{
    check_memory("", SIZE_MAX);
    check_quota("", INFINITY);
    fake_groups_write("memory.max", "4000");
    check_memory("nonsense\n:\n0::\n", 4000);
    fake_groups_write("memory.max", "much");
    check_memory("0::/\n", SIZE_MAX);
    fake_groups_write("cpu.max", "100000");
    check_quota("0::/\n", INFINITY);
    fake_groups_write("cpu.max", "100000 0");
    check_quota("0::/\n", INFINITY);
    struct control_groups none = fake_groups_process("0::/\n");
    none.list = none.mount; /* a directory is no list */
    ck_assert_uint_eq(control_groups_memory_bytes(&none), SIZE_MAX);
    ck_assert(isinf(control_groups_cpu_quota(&none)));
}
END_TEST

START_TEST(this_machine_has_memory)
{
    size_t here = host_memory_bytes();
    ck_assert(here > 0 && here < SIZE_MAX);
}
END_TEST

Suite *control_groups_suite(void)
{
    Suite *suite = suite_create("control groups");
    TCase *cases = tcase_create("limits");
    tcase_add_checked_fixture(cases, make_groups, fake_groups_remove);
    tcase_add_test(cases, the_least_memory_of_a_group_and_those_above_it);
    tcase_add_test(cases, the_least_quota_of_a_group_and_those_above_it);
    tcase_add_test(cases, what_cannot_be_read_limits_nothing);
    tcase_add_test(cases, this_machine_has_memory);
    suite_add_tcase(suite, cases);
    return suite;
}
