#ifndef MILLRACE_COMMON_CHAT_CALL_H
#define MILLRACE_COMMON_CHAT_CALL_H

#include "common/chat/value.h"

/* The arguments of a call. */
struct call {
    const struct value *positional; /* [n] */
    size_t n;
    const struct dict *keywords; /* never NULL */
};

/* The argument at a place or with a name; `fallback` if it is not there. */
struct value call_argument(const struct call *call, size_t place, const char *name, struct value fallback);
bool call_has(const struct call *call, size_t place, const char *name);

#endif
