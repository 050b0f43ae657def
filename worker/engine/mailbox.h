#ifndef MILLRACE_WORKER_ENGINE_MAILBOX_H
#define MILLRACE_WORKER_ENGINE_MAILBOX_H

#include <stdbool.h>
#include <stdint.h>

/*
 * What other threads ask of the engine's thread: a queue with one reader. A post never waits for the engine.
 */
enum mail_kind {
    MAIL_SUBMIT,     /* take up this sequence */
    MAIL_CANCEL,     /* drop this sequence */
    MAIL_CANCEL_ALL, /* drop all: the connection by which they came is gone */
    MAIL_DRAIN,      /* finish what runs, then stop */
    MAIL_STOP,       /* stop at the next step boundary */
};

struct mail {
    enum mail_kind kind;
    uint64_t number;     /* SUBMIT, CANCEL */
    uint32_t connection; /* SUBMIT: the connection to the coordinator by which it came (attach.h) */
    void *submission;    /* SUBMIT: a message of the wire, as it came (replica.proto, Submit); the reader's */
};

struct mailbox;

struct mailbox *mailbox_create(void); /* NULL without memory */
/* Frees the submissions that nobody took. NULL is allowed. */
void mailbox_free(struct mailbox *mailbox, void (*free_submission)(void *submission));

/* Any thread. SUBMIT and CANCEL. false: no memory, and nothing was posted. */
bool mailbox_post(struct mailbox *mailbox, struct mail mail);

/* Any thread. CANCEL_ALL, DRAIN and STOP: there is memory for one of each from the start, so this cannot
 * fail. Where one of the kind waits already, it moves behind all that came after it. */
void mailbox_order(struct mailbox *mailbox, enum mail_kind kind);

/* The reader: the oldest message. false: none has come within so many seconds (0: only looks). */
bool mailbox_take(struct mailbox *mailbox, double seconds, struct mail *mail);

#endif
