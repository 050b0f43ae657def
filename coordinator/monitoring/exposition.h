#ifndef MILLRACE_COORDINATOR_MONITORING_EXPOSITION_H
#define MILLRACE_COORDINATOR_MONITORING_EXPOSITION_H

#include <stdbool.h>
#include <stddef.h>

/*
 * A page of metrics in Prometheus' text format, version 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/). Each family is announced once and followed
 * by all of its samples. Without memory the page remembers that it is incomplete; nothing else can fail.
 */
struct exposition {
    char *text; /* malloc'ed; terminated when there is any */
    size_t size, capacity;
    bool incomplete; /* there was no memory for something: do not serve it */
};

#define EXPOSITION_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

void exposition_free(struct exposition *page);

/* As it is: for pages that are no metrics. */
void exposition_text(struct exposition *page, const char *text);

/* `type`: "counter", "gauge" or "histogram". `help` is one sentence; line breaks in it are escaped. */
void exposition_family(struct exposition *page, const char *name, const char *type, const char *help);

/* One line. After the value come pairs of a label and its value, then NULL:
 *     exposition_sample(page, "millrace_replica_ready", 1, "replica", "r0", NULL);
 * Label values may hold any bytes; what is not UTF-8 is replaced. */
void exposition_sample(struct exposition *page, const char *name, double value, ...)
    __attribute__((sentinel));

#endif
