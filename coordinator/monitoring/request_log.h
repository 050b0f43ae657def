#ifndef MILLRACE_COORDINATOR_MONITORING_REQUEST_LOG_H
#define MILLRACE_COORDINATOR_MONITORING_REQUEST_LOG_H

#include "common/rpc/server.h"
#include "coordinator/scheduler/scheduler.h"

/*
 * Lines about requests. Each has the request's id, as the client was told, and its trace (W3C trace context),
 * so that one request can be followed through the logs of the coordinator and of its replicas. Never its
 * text.
 *
 *     request accepted   debug     request finished, cancelled   info     request failed       warning
 *     request refused    info      request moved, preempted      info     request failed over  warning
 */

/* A request that was not accepted; it has no id. Of the same second and code, lines above ten are left out,
 * and counted in the code's next that is written: whoever is refused can ask again and again, and does not
 * hide why others are. Used by one thread at a time. */
struct refusal_log {
    struct refusals_of_code {
        double second; /* in which lines were last written */
        int n_written, n_left_out;
    } of_code[STATUS_UNAUTHENTICATED + 1];
};
void request_log_refused(struct refusal_log *log, const struct rpc_call *call, const struct trace *trace,
                         const struct error *error);

/* The end of an accepted one. */
void request_log_ended(const struct rpc_call *call, const struct run *run, const struct ending *ending);

/* What happens to it in between. */
void request_log_event(const struct scheduler_event *event);

#endif
