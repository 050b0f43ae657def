#ifndef MILLRACE_TESTS_MODEL_SUITES_H
#define MILLRACE_TESTS_MODEL_SUITES_H

#include <check.h>

Suite *config_suite(void);
Suite *safetensors_suite(void);
Suite *shard_index_suite(void);
Suite *model_suite(void);
Suite *published_suite(void);

#endif
