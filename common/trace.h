#ifndef MILLRACE_COMMON_TRACE_H
#define MILLRACE_COMMON_TRACE_H

#include <stdbool.h>

/*
 * A request's place in its caller's trace: W3C Trace Context, https://www.w3.org/TR/trace-context/ (level 1).
 * The header `traceparent` is VERSION-TRACE_ID-SPAN_ID-FLAGS in lower-case hexadecimal. Each hop keeps the
 * trace's id and makes a span id of its own. We keep the one flag that the standard defines (01: the caller
 * records the trace).
 */
enum { TRACE_HEADER_SIZE = 56 }; /* with the terminator */

struct trace {
    char trace_id[33];
    char span_id[17];   /* of our hop */
    char parent_id[17]; /* of the caller's span; "": we began the trace */
    bool sampled;
};

/* Begins a new hop of the caller's trace. Where the header is NULL or not valid it begins a new trace and
 * returns false. */
bool trace_begin(struct trace *trace, const char *traceparent);

/* Writes the header for our hop, which goes to the replica and back to the caller. */
void trace_header(const struct trace *trace, char header[TRACE_HEADER_SIZE]);

/* Reads a header. False: it is not valid, and nothing is set. `trace->span_id` stays empty. */
bool trace_parse(const char *traceparent, struct trace *trace);

#endif
