#ifndef MILLRACE_COORDINATOR_MONITORING_METRICS_H
#define MILLRACE_COORDINATOR_MONITORING_METRICS_H

#include "coordinator/monitoring/exposition.h"
#include "coordinator/scheduler/scheduler.h"

/*
 * What happened to requests, counted since the start. The scheduler's events come under its lock: each is a
 * few atomic additions, so a scrape never holds one up. What is true only now (queue, replicas) is not
 * counted here: metrics_page.h asks the scheduler for it.
 */
struct metrics;

struct metrics *metrics_create(void); /* NULL without memory */
void metrics_free(struct metrics *metrics);

/* An event of the scheduler. */
void metrics_observe(struct metrics *metrics, const struct scheduler_event *event);

/* Requests that never reach the scheduler: a field that cannot be; a caller who may not; too many large
 * messages wait to be read (offload.h). */
void metrics_count_invalid(struct metrics *metrics);
void metrics_count_unauthorised(struct metrics *metrics);
void metrics_count_unread(struct metrics *metrics);

/* ---- readers ---- */

/* All families, in full. */
void metrics_write(const struct metrics *metrics, struct exposition *page);

/* Keeps what recent figures are made of. Call about once a second, from one thread. */
void metrics_tick(struct metrics *metrics, double now);

/* The last minute or so, as far as there was one. Rates are per second; quantiles NaN without observations.
 */
struct metrics_recent {
    double seconds; /* that it covers; 0: nothing yet, and all rates are 0 */
    double requests_per_second, tokens_per_second, steps_per_second, changes_per_step;
    double queue_p50, queue_p95;             /* seconds */
    double first_frame_p50, first_frame_p95; /* since accepted */
    double total_p50, total_p95;             /* of those that finished */
};
struct metrics_recent metrics_recent(struct metrics *metrics, double now);

#endif
