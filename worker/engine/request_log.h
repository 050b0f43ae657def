#ifndef MILLRACE_WORKER_ENGINE_REQUEST_LOG_H
#define MILLRACE_WORKER_ENGINE_REQUEST_LOG_H

#include <pthread.h>

#include "common/hash.h"
#include "proto/replica.pb-c.h"

/*
 * Lines about requests on a replica (MILLRACE_LOG=debug, but for the rejected). Each has the id that the
 * client was told, the first also its trace. The engine knows requests by their tickets alone, so the log
 * keeps the ids of those that are here: from Submit until the request is done, dropped or rejected. Where it
 * has none (an older coordinator, no memory, a last report after a cancellation) a line shows the ticket's
 * number. From any thread.
 */
struct request_log {
    pthread_mutex_t lock; /* guards ids */
    struct hash_table ids;
};

void request_log_init(struct request_log *log);
void request_log_release(struct request_log *log);

void request_log_came(struct request_log *log, const Millrace__Replica__V1__Submit *submit);
void request_log_done(struct request_log *log, const Millrace__Replica__V1__Report *report);
void request_log_dropped(struct request_log *log, uint64_t ticket);
void request_log_rejected(struct request_log *log, const Millrace__Replica__V1__Rejected *rejected);
/* Everything that was here is dropped, because the coordinator is gone. */
void request_log_clear(struct request_log *log);

#endif
