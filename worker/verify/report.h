#ifndef MILLRACE_WORKER_VERIFY_REPORT_H
#define MILLRACE_WORKER_VERIFY_REPORT_H

#include <math.h>
#include <stdbool.h>
#include <stdio.h>

#include "common/status.h"

/* What the checks found: a line of JSON each, and their number. */
struct report {
    FILE *out; /* NULL: nothing is written, as on all ranks but the first */
    int n_files, n_checks, n_failed;
};

/* One quantity of one file, compared in all its cases. It is right when value <= limit; with at_least, when
 * value >= limit. */
struct finding {
    const char *file;
    const char *what; /* "logits" */
    int count;
    const char *unit; /* "cases": what there are `count` of */
    double value, limit;
    bool at_least;
    const char *note; /* what a reader must know, or NULL */
};

/* {"file", "check", "count", "unit", "value", "limit", "at_least", "ok", "note"} */
void report_finding(struct report *report, const struct finding *finding);

/* A file that could not be judged. It counts as failed: {"file", "ok": false, "note": the reason} */
void report_refusal(struct report *report, const char *file, const char *reason);

/* A file that `millrace verify` checks itself, without a worker: {"file", "left": true} */
void report_left(struct report *report, const char *file);

/* {"ranks", "files", "checks", "failed"}: the last line */
void report_summary(struct report *report, int n_ranks);

/* The larger of both; NaN is larger than everything. */
static inline double worse(double a, double b)
{
    return isnan(a) || b <= a ? a : b;
}

#endif
