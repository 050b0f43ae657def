#ifndef MILLRACE_COORDINATOR_MONITORING_REQUEST_LINES_H
#define MILLRACE_COORDINATOR_MONITORING_REQUEST_LINES_H

#include "coordinator/request/request_sink.h"

/*
 * Log lines about requests. Each has the request's id, as the client was told, and its trace (W3C trace
 * context), so that one request can be followed through the logs of the coordinator and of its replicas.
 * Never its text.
 *
 *     request accepted   debug     request finished, cancelled   info     request failed       warning
 *     request refused    info      request moved, preempted      info     request failed over  warning
 *     request started    debug
 */

/* Whom a line is about. */
struct line_subject {
    const char *id, *caller;
    const struct trace *trace;
};

/* A request that was not accepted; it has no id. Of the same second and code, lines above ten are left out,
 * and counted in the code's next that is written: whoever is refused can ask again and again, and does not
 * hide why others are. Used by one thread at a time. */
struct refusal_log {
    struct refusals_of_code {
        double second; /* in which lines were last written */
        int n_written, n_left_out;
    } of_code[STATUS_UNAUTHENTICATED + 1];
};
void request_lines_refused(struct refusal_log *log, const struct line_subject *subject,
                           const struct error *error);

void request_lines_accepted(const struct line_subject *subject, const struct request_accepted *accepted);
void request_lines_moved(const struct line_subject *subject, const struct request_moved *moved);
void request_lines_ended(const struct line_subject *subject, const struct request_ended *ended);

#endif
