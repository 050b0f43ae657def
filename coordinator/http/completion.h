#ifndef MILLRACE_COORDINATOR_HTTP_COMPLETION_H
#define MILLRACE_COORDINATOR_HTTP_COMPLETION_H

#include <pthread.h>
#include <stdatomic.h>

#include "coordinator/http/completion_text.h"
#include "coordinator/http/completions_answer.h"
#include "coordinator/http/completions_body.h"
#include "coordinator/http/exchange.h"
#include "coordinator/request/request.h"
#include "coordinator/services/services.h"

/*
 * A request for completions on its way through the scheduler: every choice is a request of its own there. All
 * are accepted, or none.
 *
 * The exchange owns the completion. Every accepted choice holds a reference to the exchange until its sink
 * has heard "ended". A choice belongs to its sink, which is called by one thread at a time; what the choices
 * share is guarded by the lock. The last choice to end concludes the answer.
 */
struct completion;

struct completion_choice {
    struct completion *completion;
    size_t index;
    struct request *request;     /* made, not accepted yet */
    atomic_uint_fast64_t number; /* for scheduler_cancel; 0: not accepted */
    char id[REQUEST_ID_SIZE];
    struct completion_view view;
    int32_t *ids;  /* [length], as of the last frame; NULL: nothing is committed early */
    size_t n_sent; /* bytes of its text that were streamed */

    /* Once it has ended well. */
    char *text;
    const char *finish_reason;
    json_t *details;
};

struct completion {
    struct exchange_work work; /* the first member */
    struct exchange *exchange;
    struct coordinator *coordinator;
    struct completions_body body;
    struct completions_head head;
    char fingerprint[160];
    bool was_read; /* the body is there */

    pthread_mutex_t lock;              /* guards what follows; each choice guards itself */
    struct completion_choice *choices; /* [n_choices] */
    size_t n_choices;
    size_t n_awaited; /* choices that have not ended, and 1 while they are being accepted */
    bool has_failed, has_begun;
    struct error failure; /* the first */
    struct completions_usage usage;
};

/* What the choices' sinks do. */
extern const struct request_sink completion_sink;

/* Cancels every choice that was accepted. */
void completion_cancel(struct completion *completion);
/* Notes the first failure, and cancels the others. */
void completion_fail(struct completion *completion, const struct error *error);
/* `n` of the awaited are there; the last ones conclude the answer. */
void completion_arrived(struct completion *completion, size_t n);

#endif
