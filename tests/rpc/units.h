#ifndef MILLRACE_TESTS_RPC_UNITS_H
#define MILLRACE_TESTS_RPC_UNITS_H

#include <check.h>

/* Parts of common/rpc that need no connection. */
Suite *quota_suite(void);
Suite *metadata_suite(void);

#endif
