#ifndef MILLRACE_COORDINATOR_MONITORING_REQUEST_LINES_H
#define MILLRACE_COORDINATOR_MONITORING_REQUEST_LINES_H

#include "coordinator/request/request_sink.h"

/*
 * Log lines about requests. Each line has the request's id, as the client was told it, and its trace (W3C
 * trace context). So one can follow a request through the logs of the coordinator and of its replicas. No
 * line has the request's text.
 *
 *     request accepted   debug     request finished, cancelled   info     request failed       warning
 *     request refused    info      request moved, preempted      info     request failed over  warning
 *     request started    debug
 */

/* The request that a line is about. */
struct line_subject {
    const char *id, *caller;
    const struct trace *trace;
};

/* Logs a request that was not accepted; it has no id. At most ten lines of one code are written in a second.
 * The next line of that code tells how many were left out. So a client that is refused again and again does
 * not hide why others are. One thread at a time may use a refusal_log. */
struct refusal_log {
    struct refusals_of_code {
        double second; /* when lines were last counted; whole monotonic seconds */
        int n_written, n_left_out;
    } of_code[STATUS_UNAUTHENTICATED + 1];
};
void request_lines_refused(struct refusal_log *log, const struct line_subject *subject,
                           const struct error *error);

void request_lines_accepted(const struct line_subject *subject, const struct request_accepted *accepted);
void request_lines_moved(const struct line_subject *subject, const struct request_moved *moved);
void request_lines_ended(const struct line_subject *subject, const struct request_ended *ended);

#endif
