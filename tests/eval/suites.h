#ifndef MILLRACE_TESTS_EVAL_SUITES_H
#define MILLRACE_TESTS_EVAL_SUITES_H

#include <check.h>

Suite *judge_suite(void), *metrics_suite(void), *plot_suite(void), *samples_suite(void), *tasks_suite(void);

#endif
