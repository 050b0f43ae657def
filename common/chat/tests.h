#ifndef MILLRACE_COMMON_CHAT_TESTS_H
#define MILLRACE_COMMON_CHAT_TESTS_H

#include "common/chat/value.h"

/* Jinja's tests: what stands behind `is`. */
bool test_is_known(const char *name);

/* The name is known. `argument` is used by those that have one. */
bool test_apply(struct machine *machine, const char *name, struct value value, struct value argument);

/* a in b */
bool value_contains(struct machine *machine, struct value whole, struct value part);

#endif
