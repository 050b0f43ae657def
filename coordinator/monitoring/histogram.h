#ifndef MILLRACE_COORDINATOR_MONITORING_HISTOGRAM_H
#define MILLRACE_COORDINATOR_MONITORING_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

#include "coordinator/monitoring/exposition.h"

enum { HISTOGRAM_BOUNDS_MAX = 20 };

/*
 * Counts of observations by size. Threads may observe and read at the same time. An observation is two atomic
 * additions without a lock; a reader may see only one of the two.
 */
struct histogram {
    const double *bounds; /* [n_bounds] ascending; bucket i counts values <= bounds[i] and > bounds[i - 1] */
    int n_bounds;
    double resolution;                                 /* of the sum: 1e-9 for seconds, 1 for counts */
    _Atomic uint64_t counts[HISTOGRAM_BOUNDS_MAX + 1]; /* the last counts values above all bounds */
    _Atomic uint64_t sum;                              /* in units of `resolution` */
};

/* `bounds` must outlive it. */
void histogram_init(struct histogram *histogram, const double *bounds, int n_bounds, double resolution);

/* A value that is negative or not a number counts as 0. */
void histogram_observe(struct histogram *histogram, double value);

/* What a histogram had counted at one moment. */
struct histogram_copy {
    const double *bounds;
    int n_bounds;
    uint64_t counts[HISTOGRAM_BOUNDS_MAX + 1];
    uint64_t n;
    double sum;
};
struct histogram_copy histogram_copy(const struct histogram *histogram);
/* The observations between two copies of the same histogram. */
struct histogram_copy histogram_since(const struct histogram_copy *now, const struct histogram_copy *before);

/*
 * The value below which the share q (0 to 1) of the observations lies, as Prometheus estimates it. Within a
 * bucket the estimate is linear. Above the largest bound it is that bound. NaN without observations.
 */
double histogram_quantile(const struct histogram_copy *copy, double q);

/* Writes it as a family of /metrics. */
void histogram_write(const struct histogram *histogram, const char *name, const char *help,
                     struct exposition *page);

#endif
