#ifndef MILLRACE_TESTS_TOKENIZER_SUITES_H
#define MILLRACE_TESTS_TOKENIZER_SUITES_H

#include <check.h>

Suite *vectors_suite(void);
Suite *reference_suite(void);
Suite *hostile_suite(void);
Suite *settings_suite(void);
Suite *utf8_suite(void);

#endif
