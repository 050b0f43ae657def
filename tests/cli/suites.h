#ifndef MILLRACE_TESTS_CLI_SUITES_H
#define MILLRACE_TESTS_CLI_SUITES_H

#include <check.h>

Suite *infill_suite(void);
Suite *glyphs_suite(void);
Suite *view_suite(void);
Suite *output_suite(void);
Suite *table_suite(void);
Suite *connection_suite(void);
Suite *command_suite(void);
Suite *json_output_suite(void);

#endif
