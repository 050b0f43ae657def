#ifndef MILLRACE_WORKER_ENGINE_BACKLOG_H
#define MILLRACE_WORKER_ENGINE_BACKLOG_H

#include <stdbool.h>

#include "worker/engine/mailbox.h"

/*
 * Submissions that wait for room in the batch, oldest first (rank 0, the engine's thread). The coordinator
 * sends a sequence while the one whose place it takes is still in its last step. So no place stays empty for
 * a step. Sequences join strictly in order: a short text does not pass a long one that waits before it.
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

/* false: no memory. The coordinator may have a batch here and as much again, and all of it may wait. So the
 * bounds that engine.c passes are twice a batch's. */
bool backlog_init(struct backlog *backlog, int max_sequences, int64_t max_tokens);
/* Frees what it holds. A zeroed one is empty. */
void backlog_release(struct backlog *backlog, void (*free_submission)(void *submission));

/* Takes the submission over. false: the backlog is full, and nothing was taken. */
bool backlog_push(struct backlog *backlog, const struct mail *mail, int length);
/* Takes the oldest out; its submission is now the caller's. The backlog must not be empty. */
struct mail backlog_pop(struct backlog *backlog);
/* Drops the sequence of that number. false: it is not here. */
bool backlog_remove(struct backlog *backlog, uint64_t number, void (*free_submission)(void *submission));
void backlog_clear(struct backlog *backlog, void (*free_submission)(void *submission));

#endif
