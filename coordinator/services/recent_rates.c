#include "coordinator/services/recent_rates.h"

#include <math.h>

#include "common/clock.h"

static double milliseconds(double seconds)
{
    return isnan(seconds) ? 0 : 1e3 * seconds;
}

static Millrace__V1__Quantiles quantiles_of(double p50, double p95)
{
    Millrace__V1__Quantiles quantiles = MILLRACE__V1__QUANTILES__INIT;
    quantiles.p50_ms = milliseconds(p50);
    quantiles.p95_ms = milliseconds(p95);
    return quantiles;
}

void recent_message_init(struct recent_message *message, struct metrics *metrics)
{
    struct metrics_recent figures = metrics_recent(metrics, clock_seconds());
    message->queue = quantiles_of(figures.queue_p50, figures.queue_p95);
    message->first_frame = quantiles_of(figures.first_frame_p50, figures.first_frame_p95);
    message->total = quantiles_of(figures.total_p50, figures.total_p95);
    millrace__v1__recent__init(&message->recent);
    message->recent.seconds = figures.seconds;
    message->recent.requests_per_second = figures.requests_per_second;
    message->recent.tokens_per_second = figures.tokens_per_second;
    message->recent.steps_per_second = figures.steps_per_second;
    message->recent.changes_per_step = figures.changes_per_step;
    message->recent.queue = &message->queue;
    message->recent.first_frame = &message->first_frame;
    message->recent.total = &message->total;
}
