#include "common/trace.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static bool is_hex(const char *text, size_t n)
{
    return strspn(text, "0123456789abcdef") >= n;
}

static bool is_zero(const char *text, size_t n)
{
    return strspn(text, "0") >= n;
}

/* The places in 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01. */
enum { TRACE_AT = 3, SPAN_AT = 36, FLAGS_AT = 53, END = 55 };

static bool has_form(const char *header)
{
    size_t size = strnlen(header, END + 1);
    if (size < END || header[2] != '-' || header[SPAN_AT - 1] != '-' || header[FLAGS_AT - 1] != '-')
        return false;
    if (!is_hex(header, 2) || !is_hex(header + TRACE_AT, 32) || !is_hex(header + SPAN_AT, 16) ||
        !is_hex(header + FLAGS_AT, 2))
        return false;
    bool version_0 = !strncmp(header, "00", 2);
    return size == END || (!version_0 && header[END] == '-'); /* a later version may say more behind */
}

bool trace_parse(const char *traceparent, struct trace *trace)
{
    if (!traceparent || !has_form(traceparent) || !strncmp(traceparent, "ff", 2) ||
        is_zero(traceparent + TRACE_AT, 32) || is_zero(traceparent + SPAN_AT, 16))
        return false;
    *trace = (struct trace){.sampled = strchr("13579bdf", traceparent[FLAGS_AT + 1]) != NULL};
    memcpy(trace->trace_id, traceparent + TRACE_AT, 32);
    memcpy(trace->parent_id, traceparent + SPAN_AT, 16);
    return true;
}

/* 16 digits that are not all 0. Ids need not be secret: without randomness from the system the address will
 * do. */
static void draw_id(char *id)
{
    uint64_t bits = 0;
    if (getrandom(&bits, sizeof bits, GRND_NONBLOCK) != (ssize_t)sizeof bits || !bits)
        bits = (uintptr_t)id | 1;
    snprintf(id, 17, "%016llx", (unsigned long long)bits);
}

bool trace_begin(struct trace *trace, const char *traceparent)
{
    bool taken = trace_parse(traceparent, trace);
    if (!taken) {
        *trace = (struct trace){.sampled = false};
        draw_id(trace->trace_id);
        draw_id(trace->trace_id + 16);
    }
    draw_id(trace->span_id);
    return taken;
}

void trace_header(const struct trace *trace, char header[TRACE_HEADER_SIZE])
{
    snprintf(header, TRACE_HEADER_SIZE, "00-%s-%s-%02x", trace->trace_id, trace->span_id, trace->sampled);
}
