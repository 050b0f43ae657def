#ifndef MILLRACE_COMMON_CHAT_FILTERS_H
#define MILLRACE_COMMON_CHAT_FILTERS_H

#include "common/chat/call.h"

bool filter_is_known(const char *name);

/* What the filter makes of a value. The name is known. */
struct value filter_apply(struct machine *machine, const char *name, struct value value,
                          const struct call *call);

#endif
