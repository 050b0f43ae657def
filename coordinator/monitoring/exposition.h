#ifndef MILLRACE_COORDINATOR_MONITORING_EXPOSITION_H
#define MILLRACE_COORDINATOR_MONITORING_EXPOSITION_H

#include <stdbool.h>
#include <stddef.h>

/*
 * A page of metrics in Prometheus' text format, version 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/). Write each family once, then all of its
 * samples. When there is no memory, the page is marked as incomplete; nothing else can fail.
 */
struct exposition {
    char *text; /* malloc'ed, and ends with a zero byte; NULL: nothing was written */
    size_t size, capacity;
    bool incomplete; /* there was no memory for something: do not serve it */
};

#define EXPOSITION_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

void exposition_free(struct exposition *page);

/* Appends the text as it is: for pages that are not metrics. */
void exposition_text(struct exposition *page, const char *text);

/* Begins a family. `type`: "counter", "gauge" or "histogram". `help` is one sentence; line breaks in it are
 * escaped. */
void exposition_family(struct exposition *page, const char *name, const char *type, const char *help);

/* Writes one sample. After the value come pairs of a label and its value, then NULL:
 *     exposition_sample(page, "millrace_replica_ready", 1, "replica", "r0", NULL);
 * Label values may hold any bytes; what is not UTF-8 is replaced. */
void exposition_sample(struct exposition *page, const char *name, double value, ...)
    __attribute__((sentinel));

#endif
