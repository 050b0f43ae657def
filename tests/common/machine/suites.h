#ifndef MILLRACE_TESTS_COMMON_MACHINE_SUITES_H
#define MILLRACE_TESTS_COMMON_MACHINE_SUITES_H

#include <check.h>

Suite *control_groups_suite(void);
Suite *cpus_suite(void);
Suite *near_suite(void);

#endif
