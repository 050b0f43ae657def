#ifndef MILLRACE_COMMON_TRACE_H
#define MILLRACE_COMMON_TRACE_H

#include <stdbool.h>

/*
 * A request's place in its caller's trace: W3C Trace Context, https://www.w3.org/TR/trace-context/ (level 1).
 * The header `traceparent` is VERSION-TRACE_ID-SPAN_ID-FLAGS in lower-case hexadecimal. Each hop keeps the
 * trace's id and makes an id of its own; we keep of the flags the one that the standard defines (01: the
 * caller records it).
 */
enum { TRACE_HEADER_SIZE = 56 }; /* with the terminator */

struct trace {
    char trace_id[33];
    char span_id[17];   /* of our hop */
    char parent_id[17]; /* of the caller's span; "": we began the trace */
    bool sampled;
};

/* A new hop of the caller's trace; of a new trace, where the header is NULL or none that is valid. Returns
 * whether it was taken. */
bool trace_begin(struct trace *trace, const char *traceparent);

/* The header that says where we are: for whoever works for this request, and for the caller. */
void trace_header(const struct trace *trace, char header[TRACE_HEADER_SIZE]);

/* Reads a header; false, and nothing is set, when it is none. `trace->span_id` is left empty. */
bool trace_parse(const char *traceparent, struct trace *trace);

#endif
