#ifndef MILLRACE_WORKER_ENGINE_BACKLOG_H
#define MILLRACE_WORKER_ENGINE_BACKLOG_H

#include <stdbool.h>

#include "worker/engine/mailbox.h"

/*
 * Submissions that have come and find no room in the batch yet, oldest first (rank 0, the engine's thread).
 * The coordinator sends them while those whose places they take are in their last step, so that no place is
 * empty for a step. They join strictly in order: who is behind a long text does not pass it.
 */
struct backlog_entry {
    struct mail mail; /* MAIL_SUBMIT */
    int length;
};

struct backlog {
    struct backlog_entry *entries; /* [max_sequences] */
    int n, max_sequences;
    int64_t n_tokens, max_tokens;
};

/* false: no memory. What the coordinator may have here at a time is a batch and as much again, and all of
 * that may wait: the bounds are twice a batch's. */
bool backlog_init(struct backlog *backlog, int max_sequences, int64_t max_tokens);
/* Frees what it holds. A zeroed one is empty. */
void backlog_release(struct backlog *backlog, void (*free_submission)(void *submission));

/* Takes the submission over. false: it is full, and nothing was taken. */
bool backlog_push(struct backlog *backlog, const struct mail *mail, int length);
/* The oldest, whose submission is now the caller's; there is one. */
struct mail backlog_pop(struct backlog *backlog);
/* Drops one; false: it is not here. */
bool backlog_remove(struct backlog *backlog, uint64_t number, void (*free_submission)(void *submission));
void backlog_clear(struct backlog *backlog, void (*free_submission)(void *submission));

#endif
