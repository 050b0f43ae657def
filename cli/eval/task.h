#ifndef MILLRACE_CLI_EVAL_TASK_H
#define MILLRACE_CLI_EVAL_TASK_H

#include "common/rpc/client.h"
#include "common/status.h"

/*
 * A task says what a text must be: written from nothing, or around tokens of a text from a file. The same
 * tasks are given at every number of steps.
 */
enum task_kind {
    TASK_UNCONDITIONAL, /* nothing is pinned */
    TASK_PREFIX,        /* the first `prefix_tokens` are pinned */
    TASK_INFILL,        /* random spans of SPAN_TOKENS are pinned, `share` of all positions */
};
enum { SPAN_TOKENS = 8 };

struct task_options {
    enum task_kind kind;
    const char *file; /* tasks take windows of this file, spread evenly; NULL when unconditional */
    int64_t prefix_tokens;
    double share;
    size_t n_tasks, length;
    uint64_t seed; /* of the spans */
};

/* Tokens that are pinned where editable is 0. */
struct task {
    uint32_t *ids;     /* [length] */
    uint8_t *editable; /* [length] */
};
struct task_list {
    struct task *tasks;           /* [n]; ids and editable are NULL when unconditional */
    size_t n, length, n_editable; /* of each */
};

/* The cluster tokenizes the file. INVALID_ARGUMENT where it has fewer than `length` tokens. */
enum status task_list_make(struct rpc_channel *channel, const struct task_options *options,
                           struct task_list *list, struct error *error);
void task_list_release(struct task_list *list);

/* Marks `n_pinned` of the positions with 0, the others with 1: spans of up to SPAN_TOKENS at random places.
 */
void task_pin_spans(uint8_t *editable, size_t length, size_t n_pinned, uint64_t seed, uint32_t task);

#endif
