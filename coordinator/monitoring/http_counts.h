#ifndef MILLRACE_COORDINATOR_MONITORING_HTTP_COUNTS_H
#define MILLRACE_COORDINATOR_MONITORING_HTTP_COUNTS_H

#include "coordinator/monitoring/exposition.h"
#include "coordinator/monitoring/histogram.h"

/* What a request over HTTP was for. Paths that are not ours are counted together: strangers choose them. */
enum http_subject {
    HTTP_COMPLETIONS,
    HTTP_CHAT_COMPLETIONS,
    HTTP_MODELS,
    HTTP_STATUS,
    HTTP_PAGE,
    HTTP_WATCHERS, /* /metrics and the probes */
    HTTP_OTHER,
    HTTP_SUBJECT_COUNT
};

enum { HTTP_CODE_COUNT = 20 };

/* Counts of the HTTP door. Any thread may count and read. */
struct http_counts {
    _Atomic uint64_t answers[HTTP_SUBJECT_COUNT][HTTP_CODE_COUNT];
    _Atomic uint64_t left;    /* clients that left before their answer was whole */
    _Atomic uint64_t cut;     /* clients that were hung up on: too slow, or for too long silent */
    _Atomic int connections;  /* open now */
    struct histogram seconds; /* of completions, from the head of the request to the end of the answer */
};

void http_counts_init(struct http_counts *counts);
/* An answer is over. `seconds`: since the head of its request. */
void http_counts_answer(struct http_counts *counts, enum http_subject subject, unsigned code, double seconds);
void http_counts_write(const struct http_counts *counts, struct exposition *page);

#endif
