#ifndef MILLRACE_TESTS_COMMON_SUITES_H
#define MILLRACE_TESTS_COMMON_SUITES_H

#include <check.h>

Suite *options_suite(void);
Suite *basics_suite(void);
Suite *log_suite(void);
Suite *log_queue_suite(void);
Suite *file_watch_suite(void);
Suite *trace_suite(void);
Suite *hash_suite(void);
Suite *file_read_suite(void);
Suite *process_suite(void);
Suite *address_suite(void);
Suite *clock_suite(void);

#endif
