#ifndef MILLRACE_COMMON_CHAT_EVALUATE_H
#define MILLRACE_COMMON_CHAT_EVALUATE_H

#include "common/chat/ast.h"

/* Names and their values. A loop's turn, a macro's call and a `with` have scopes of their own; `if` has none.
 */
struct scope {
    struct dict names;
    struct scope *outer; /* NULL: the template's own */
};

/* Running a template. */
struct run {
    struct machine *machine;
    struct scope *scope, *global;
    int depth;   /* of macros that call each other */
    int nesting; /* of calls of evaluate and of statements */
    /* Writes what a macro's body gives: set by whoever runs statements. */
    struct text (*write_body)(struct run *run, const struct node *body);
};

enum { RUN_NESTING_MAX = 500 };

struct value evaluate(struct run *run, const struct node *node);

void scope_set(struct run *run, const char *name, struct value value);

#endif
