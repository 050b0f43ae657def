#ifndef MILLRACE_WORKER_ENGINE_REQUEST_LOG_H
#define MILLRACE_WORKER_ENGINE_REQUEST_LOG_H

#include "proto/replica.pb-c.h"

/* Lines about requests on a replica (MILLRACE_LOG=debug, but for the rejected): each has the id that the
 * client was told, the first also its trace. */
void request_log_came(const Millrace__Replica__V1__Submit *submit);
void request_log_done(const Millrace__Replica__V1__Report *report);
void request_log_dropped(uint64_t ticket);
void request_log_rejected(const Millrace__Replica__V1__Rejected *rejected);

#endif
