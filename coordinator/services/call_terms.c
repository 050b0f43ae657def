#include "coordinator/services/call_terms.h"

#include <math.h>
#include <stdio.h>

#include "common/clock.h"

struct trace call_take_trace(struct rpc_call *call)
{
    struct trace trace;
    char header[TRACE_HEADER_SIZE];
    /* Two headers are as good as none (W3C trace context, 3.2). */
    bool one = rpc_call_n_headers(call, "traceparent") == 1;
    trace_begin(&trace, one ? rpc_call_header(call, "traceparent") : NULL);
    trace_header(&trace, header);
    rpc_set_header(call, "traceparent", header);
    return trace;
}

void call_set_terms(const struct rpc_call *call, const struct trace *trace, struct request_terms *terms)
{
    const struct rpc_caller *caller = rpc_call_caller(call);
    double seconds_left = rpc_call_seconds_left(call);
    snprintf(terms->caller, sizeof terms->caller, "%s", caller->name);
    terms->max_requests = caller->max_requests;
    terms->max_tokens = caller->max_tokens;
    terms->deadline_at = isfinite(seconds_left) ? clock_seconds() + seconds_left : 0;
    terms->trace = *trace;
}

void call_log_refusal(struct coordinator *coordinator, const struct rpc_call *call, const struct trace *trace,
                      const struct error *error)
{
    const struct line_subject subject = {"", rpc_call_caller(call)->name, trace};
    pthread_mutex_lock(&coordinator->refusals_lock);
    request_lines_refused(&coordinator->refusals, &subject, error);
    pthread_mutex_unlock(&coordinator->refusals_lock);
}
