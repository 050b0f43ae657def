#ifndef MILLRACE_COORDINATOR_MONITORING_METRICS_H
#define MILLRACE_COORDINATOR_MONITORING_METRICS_H

#include "coordinator/monitoring/exposition.h"
#include "coordinator/scheduler/scheduler.h"

/*
 * What happened to requests since the start. The scheduler reports its events with its lock held. Each event
 * is a few atomic additions, so it never waits for a scrape. The present state (queue, replicas) is not
 * counted here: metrics_page.h asks the scheduler for it.
 */
struct metrics;

struct metrics *metrics_create(void); /* NULL without memory */
void metrics_free(struct metrics *metrics);

/* Counts an event of the scheduler. */
void metrics_observe(struct metrics *metrics, const struct scheduler_event *event);

/* These count requests that never reach the scheduler. invalid: a field is wrong. unauthorised: the caller
 * may not send it. unread: too many large messages wait to be read (offload.h). */
void metrics_count_invalid(struct metrics *metrics);
void metrics_count_unauthorised(struct metrics *metrics);
void metrics_count_unread(struct metrics *metrics);

/* ---- readers ---- */

/* Writes all families with their samples. */
void metrics_write(const struct metrics *metrics, struct exposition *page);

/* Keeps the counts from which metrics_recent is computed. Call it about once a second, from one thread.
 * `now`: monotonic seconds. */
void metrics_tick(struct metrics *metrics, double now);

/* Figures of about the last minute, or of the time since the start. Rates are per second. Quantiles are NaN
 * without observations. */
struct metrics_recent {
    double seconds; /* how long a time it covers; 0: none yet, and all rates are 0 */
    double requests_per_second, tokens_per_second, steps_per_second, changes_per_step;
    double queue_p50, queue_p95;             /* seconds */
    double first_frame_p50, first_frame_p95; /* seconds since the acceptance */
    double total_p50, total_p95;             /* seconds, of requests that finished */
};
struct metrics_recent metrics_recent(struct metrics *metrics, double now);

#endif
