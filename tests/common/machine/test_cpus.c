/* How many processors a process may use, on machines that hwloc makes up and under quotas that are files. */
#include <math.h>
#include <sched.h>
#include <stdlib.h>

#include "common/machine/cpus.h"
#include "tests/common/machine/fake_groups.h"
#include "tests/common/machine/suites.h"

static struct cpus read_cpus(const char *synthetic, const char *quota)
{
    struct cpus cpus;
    fake_groups_write("cpu.max", quota);
    struct cpus_source source = {.groups = fake_groups_process("0::/\n"), .synthetic = synthetic};
    cpus_read(&source, &cpus);
    return cpus;
}

static const struct machine {
    const char *synthetic;
    int n_hardware_threads, n_cores;
    size_t cache_bytes; /* 0: not looked at */
} machines[] = {
    {"pack:1 core:1 pu:2", 2, 1, 0}, /* two CPUs of a cloud: one core */
    {"pack:1 core:2 pu:1", 2, 2, 0},
    {"pack:2 core:4 pu:2", 16, 8, 0},
    {"numa:2 core:4 pu:4", 32, 8, 0},
    {"pu:3", 3, 3, 0}, /* a machine that does not tell its cores */
    {"pack:1 l2:2(size=1048576) core:1 pu:2", 4, 2, 1048576},
    {"pack:1 l2:2(size=4194304) core:4 pu:1", 8, 8, 1048576}, /* four cores to a cache */
};
enum { N_MACHINES = sizeof machines / sizeof machines[0] };

START_TEST(cores_are_told_from_hardware_threads)
{
    const struct machine *machine = &machines[_i];
    struct cpus cpus = read_cpus(machine->synthetic, "max 100000");
    ck_assert_int_eq(cpus.n_hardware_threads, machine->n_hardware_threads);
    ck_assert_int_eq(cpus.n_cores, machine->n_cores);
    if (machine->cache_bytes > 0)
        ck_assert_uint_eq(cpus.cache_bytes, machine->cache_bytes);
    ck_assert_int_eq(cpus_for_computing(&cpus), machine->n_cores);
}
END_TEST

static const struct {
    const char *quota;
    double expected;
    int for_computing; /* of four cores */
} quotas[] = {
    {"max 100000", INFINITY, 4}, {"50000 100000", 0.5, 1}, {"100000 100000", 1, 1},
    {"199000 100000", 1.99, 1},  {"200000 100000", 2, 2},  {"400000 100000", 4.0, 4},
    {"800000 100000", 8, 4},
};
enum { N_QUOTAS = sizeof quotas / sizeof quotas[0] };

START_TEST(a_quota_holds_back_what_affinity_admits)
{
    struct cpus cpus = read_cpus("core:4 pu:2", quotas[_i].quota);
    ck_assert_int_eq(cpus.n_hardware_threads, 8);
    ck_assert(cpus.quota == quotas[_i].expected);
    ck_assert_int_eq(cpus_for_computing(&cpus), quotas[_i].for_computing);
}
END_TEST

START_TEST(a_process_bound_to_one_cpu_has_one)
{
    cpu_set_t before, one;
    int cpu = 0;
    ck_assert_int_eq(sched_getaffinity(0, sizeof before, &before), 0);
    while (!CPU_ISSET(cpu, &before))
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    ck_assert_int_eq(sched_setaffinity(0, sizeof one, &one), 0);
    struct cpus cpus = read_cpus(NULL, "max 100000");
    ck_assert_int_eq(sched_setaffinity(0, sizeof before, &before), 0);
    ck_assert_int_eq(cpus.n_hardware_threads, 1);
    ck_assert_int_eq(cpus.n_cores, 1);
    cpus = read_cpus(NULL, "max 100000");
    ck_assert_int_eq(cpus.n_hardware_threads, CPU_COUNT(&before));
}
END_TEST

/* hwloc's own variables make up a machine for all that ask it, mpirun too. */
START_TEST(the_environment_may_name_the_machine)
{
    setenv("HWLOC_SYNTHETIC", "pack:1 core:3 pu:2", 1);
    struct cpus cpus = read_cpus(NULL, "max 100000");
    unsetenv("HWLOC_SYNTHETIC");
    ck_assert_int_eq(cpus.n_hardware_threads, 6);
    ck_assert_int_eq(cpus.n_cores, 3);
}
END_TEST

START_TEST(nonsense_leaves_the_affinity)
{
    cpu_set_t set;
    ck_assert_int_eq(sched_getaffinity(0, sizeof set, &set), 0);
    struct cpus cpus = read_cpus("no topology", "max 100000");
    ck_assert_int_eq(cpus.n_cores, CPU_COUNT(&set));
}
END_TEST

START_TEST(this_machine_is_read_once)
{
    const struct cpus *here = cpus_here();
    ck_assert_ptr_eq(here, cpus_here());
    ck_assert_int_ge(here->n_cores, 1);
    ck_assert_int_ge(here->n_hardware_threads, here->n_cores);
    ck_assert_int_ge(cpus_for_computing(here), 1);
}
END_TEST

Suite *cpus_suite(void)
{
    Suite *suite = suite_create("cpus");
    TCase *cases = tcase_create("cpus");
    tcase_add_checked_fixture(cases, fake_groups_make, fake_groups_remove);
    tcase_add_loop_test(cases, cores_are_told_from_hardware_threads, 0, N_MACHINES);
    tcase_add_loop_test(cases, a_quota_holds_back_what_affinity_admits, 0, N_QUOTAS);
    tcase_add_test(cases, a_process_bound_to_one_cpu_has_one);
    tcase_add_test(cases, the_environment_may_name_the_machine);
    tcase_add_test(cases, nonsense_leaves_the_affinity);
    tcase_add_test(cases, this_machine_is_read_once);
    suite_add_tcase(suite, cases);
    return suite;
}
