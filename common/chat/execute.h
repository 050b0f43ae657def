#ifndef MILLRACE_COMMON_CHAT_EXECUTE_H
#define MILLRACE_COMMON_CHAT_EXECUTE_H

#include "common/chat/ast.h"

enum { OUTPUT_BYTES_MAX = 16 << 20 };

/* Runs a template with these names; what it writes. After an error the machine has failed. */
struct text execute(struct machine *machine, const struct node *statements, struct value names);

#endif
