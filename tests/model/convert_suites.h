#ifndef MILLRACE_TESTS_MODEL_CONVERT_SUITES_H
#define MILLRACE_TESTS_MODEL_CONVERT_SUITES_H

#include <check.h>

Suite *pickle_suite(void);
Suite *checkpoint_suite(void);
Suite *convert_suite(void);
Suite *tools_suite(void);

#endif
