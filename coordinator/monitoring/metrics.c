#include "coordinator/monitoring/metrics.h"

#include <pthread.h>
#include <stdio.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/monitoring/histogram.h"

enum { QUEUE_TIME, FIRST_FRAME_TIME, TOTAL_TIME, STEP_TIME, STEP_CHANGES, N_HISTOGRAMS };

enum outcome { OUTCOME_FINISHED, OUTCOME_CANCELLED, OUTCOME_FAILED, N_OUTCOMES };

enum {
    N_CODES = STATUS_UNAUTHENTICATED + 1,
    N_MOMENTS = 13, /* how many are kept for recent figures */
    MOMENT_SECONDS = 5,
};

/* The counts at one time. Recent figures are differences of two moments. */
struct moment {
    double at; /* monotonic seconds */
    uint64_t tokens;
    struct histogram_copy histograms[N_HISTOGRAMS];
};

struct metrics {
    _Atomic uint64_t accepted[CLASS_COUNT];
    _Atomic uint64_t ended[N_OUTCOMES][CLASS_COUNT];
    _Atomic uint64_t failures[N_CODES];
    _Atomic uint64_t refused[REFUSAL_COUNT], invalid, unauthorised, unread;
    _Atomic uint64_t preempted, moved, lost, tokens;
    struct histogram histograms[N_HISTOGRAMS];

    pthread_mutex_t moments_lock; /* guards what follows; taken once a second and for `status` */
    struct moment moments[N_MOMENTS];
    int n_moments; /* kept since the start; the newest is moments[(n_moments - 1) % N_MOMENTS] */
};

/* Seconds: from a step of a small model to a text of the largest model on a slow machine. */
static const double time_bounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
                                     1,     2.5,    5,     10,   25,    60,   120, 300};
static const double change_bounds[] = {0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096};

static const struct {
    const char *name, *help;
} histogram_families[N_HISTOGRAMS] = {
    [QUEUE_TIME] = {"millrace_request_queue_seconds",
                    "From the acceptance of a request to its start on a replica."},
    [FIRST_FRAME_TIME] = {"millrace_request_first_frame_seconds",
                          "From the acceptance of a request to the frame of its first step."},
    [TOTAL_TIME] = {"millrace_request_seconds",
                    "From the acceptance of a request to its end, of those that finished."},
    [STEP_TIME] =
        {"millrace_step_seconds",
         "Time of a forward pass with its sampling on the replica, counted once for each request in it."},
    [STEP_CHANGES] = {"millrace_step_changed_positions",
                      "Positions of one text that one step changed (its jumps)."},
};

static const char *const priority_names[CLASS_COUNT] = {
    [CLASS_HIGH] = "high", [CLASS_NORMAL] = "normal", [CLASS_LOW] = "low"};
static const char *const outcome_names[N_OUTCOMES] = {"finished", "cancelled", "failed"};
static const char *const refusal_names[REFUSAL_COUNT] = {
    [REFUSED_QUEUE_REQUESTS] = "queue_requests",
    [REFUSED_QUEUE_TOKENS] = "queue_tokens",
    [REFUSED_CLIENT] = "client_limit",
    [REFUSED_DEADLINE] = "deadline",
    [REFUSED_NO_REPLICA] = "no_replica",
    [REFUSED_SHUTDOWN] = "shutting_down",
    [REFUSED_MEMORY] = "memory",
};

struct metrics *metrics_create(void)
{
    struct metrics *metrics = calloc(1, sizeof *metrics);
    if (!metrics)
        return NULL;
    pthread_mutex_init(&metrics->moments_lock, NULL);
    for (int i = 0; i < N_HISTOGRAMS; i++) {
        if (i == STEP_CHANGES)
            histogram_init(&metrics->histograms[i], change_bounds,
                           sizeof change_bounds / sizeof *change_bounds, 1);
        else
            histogram_init(&metrics->histograms[i], time_bounds, sizeof time_bounds / sizeof *time_bounds,
                           1e-9);
    }
    return metrics;
}

void metrics_free(struct metrics *metrics)
{
    if (!metrics)
        return;
    pthread_mutex_destroy(&metrics->moments_lock);
    free(metrics);
}

/* ---- events ---- */

static void count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static uint64_t value_of(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void metrics_count_invalid(struct metrics *metrics)
{
    count(&metrics->invalid, 1);
}

void metrics_count_unauthorised(struct metrics *metrics)
{
    count(&metrics->unauthorised, 1);
}

void metrics_count_unread(struct metrics *metrics)
{
    count(&metrics->unread, 1);
}

static void observe(struct metrics *metrics, int histogram, double value)
{
    histogram_observe(&metrics->histograms[histogram], value);
}

static enum outcome outcome_of(enum status status)
{
    return status == STATUS_OK          ? OUTCOME_FINISHED
           : status == STATUS_CANCELLED ? OUTCOME_CANCELLED
                                        : OUTCOME_FAILED;
}

static void count_ending(struct metrics *metrics, const struct scheduler_event *event)
{
    const struct run *run = event->run;
    enum outcome outcome = outcome_of(event->status);
    if (outcome == OUTCOME_FAILED)
        count(&metrics->failures[(unsigned)event->status < N_CODES ? event->status : STATUS_UNKNOWN], 1);
    if (outcome == OUTCOME_FINISHED) {
        observe(metrics, TOTAL_TIME, event->now - run->accepted_at);
        count(&metrics->tokens, (uint64_t)(run->length - run->n_pinned));
    }
    count(&metrics->ended[outcome][event->class], 1);
}

static void count_step(struct metrics *metrics, const struct scheduler_event *event)
{
    observe(metrics, STEP_TIME, event->step_seconds);
    observe(metrics, STEP_CHANGES, (double)event->n_changed);
}

void metrics_observe(struct metrics *metrics, const struct scheduler_event *event)
{
    switch (event->kind) {
    case EVENT_ACCEPTED:
        count(&metrics->accepted[event->class], 1);
        break;
    case EVENT_REFUSED:
        count(&metrics->refused[event->refusal], 1);
        break;
    case EVENT_STARTED:
        if (!event->again)
            observe(metrics, QUEUE_TIME, event->now - event->run->accepted_at);
        break;
    case EVENT_FIRST_FRAME:
        observe(metrics, FIRST_FRAME_TIME, event->now - event->run->accepted_at);
        break;
    case EVENT_STEP:
        count_step(metrics, event);
        break;
    case EVENT_PREEMPTED:
        count(&metrics->preempted, 1);
        break;
    case EVENT_MOVED:
        count(&metrics->moved, 1);
        break;
    case EVENT_LOST:
        count(&metrics->lost, 1);
        break;
    case EVENT_ENDED:
        count_ending(metrics, event);
        break;
    }
}

/* ---- the page ---- */

static void write_counter(struct exposition *page, const char *name, const char *help, uint64_t value)
{
    exposition_family(page, name, "counter", help);
    exposition_sample(page, name, (double)value, NULL);
}

static void write_requests(const struct metrics *metrics, struct exposition *page)
{
    exposition_family(page, "millrace_requests_accepted_total", "counter", "Requests that were accepted.");
    for (int p = 0; p < CLASS_COUNT; p++)
        exposition_sample(page, "millrace_requests_accepted_total", (double)value_of(&metrics->accepted[p]),
                          "priority", priority_names[p], NULL);
    exposition_family(page, "millrace_requests_total", "counter",
                      "Accepted requests that have ended, by how they ended.");
    for (int o = 0; o < N_OUTCOMES; o++)
        for (int p = 0; p < CLASS_COUNT; p++)
            exposition_sample(page, "millrace_requests_total", (double)value_of(&metrics->ended[o][p]),
                              "outcome", outcome_names[o], "priority", priority_names[p], NULL);
}

static void write_failures(const struct metrics *metrics, struct exposition *page)
{
    exposition_family(page, "millrace_request_failures_total", "counter",
                      "Accepted requests that failed, by the gRPC status that their clients saw.");
    for (int code = STATUS_UNKNOWN; code < N_CODES; code++)
        exposition_sample(page, "millrace_request_failures_total", (double)value_of(&metrics->failures[code]),
                          "code", status_name((enum status)code), NULL);
    exposition_family(page, "millrace_requests_refused_total", "counter",
                      "Requests that were not accepted, by the reason.");
    exposition_sample(page, "millrace_requests_refused_total", (double)value_of(&metrics->invalid), "reason",
                      "invalid", NULL);
    exposition_sample(page, "millrace_requests_refused_total", (double)value_of(&metrics->unauthorised),
                      "reason", "unauthorised", NULL);
    exposition_sample(page, "millrace_requests_refused_total", (double)value_of(&metrics->unread), "reason",
                      "large_messages", NULL);
    for (int reason = 0; reason < REFUSAL_COUNT; reason++)
        exposition_sample(page, "millrace_requests_refused_total",
                          (double)value_of(&metrics->refused[reason]), "reason", refusal_names[reason], NULL);
}

void metrics_write(const struct metrics *metrics, struct exposition *page)
{
    write_requests(metrics, page);
    write_failures(metrics, page);
    write_counter(page, "millrace_generated_tokens_total",
                  "Tokens that finished requests had written for them.", value_of(&metrics->tokens));
    write_counter(page, "millrace_preemptions_total",
                  "Running requests that made way for one of a higher class.", value_of(&metrics->preempted));
    write_counter(page, "millrace_failovers_total",
                  "Running requests whose replica was lost, so that they had to go on elsewhere.",
                  value_of(&metrics->lost));
    write_counter(page, "millrace_moves_total", "Running requests that left a replica because it drains.",
                  value_of(&metrics->moved));
    for (int i = 0; i < N_HISTOGRAMS; i++)
        histogram_write(&metrics->histograms[i], histogram_families[i].name, histogram_families[i].help,
                        page);
}

/* ---- recent figures ---- */

static struct moment moment_now(const struct metrics *metrics, double now)
{
    struct moment moment = {.at = now, .tokens = value_of(&metrics->tokens)};
    for (int i = 0; i < N_HISTOGRAMS; i++)
        moment.histograms[i] = histogram_copy(&metrics->histograms[i]);
    return moment;
}

void metrics_tick(struct metrics *metrics, double now)
{
    pthread_mutex_lock(&metrics->moments_lock);
    int n = metrics->n_moments;
    if (!n || now - metrics->moments[(n - 1) % N_MOMENTS].at >= MOMENT_SECONDS) {
        metrics->moments[n % N_MOMENTS] = moment_now(metrics, now);
        metrics->n_moments++;
    }
    pthread_mutex_unlock(&metrics->moments_lock);
}

/* Copies the oldest moment that is kept. False: none is kept. */
static bool oldest_moment(struct metrics *metrics, struct moment *oldest)
{
    pthread_mutex_lock(&metrics->moments_lock);
    int n = metrics->n_moments;
    if (n)
        *oldest = metrics->moments[n < N_MOMENTS ? 0 : n % N_MOMENTS];
    pthread_mutex_unlock(&metrics->moments_lock);
    return n;
}

static void set_quantiles(const struct histogram_copy *copy, double *p50, double *p95)
{
    *p50 = histogram_quantile(copy, 0.5);
    *p95 = histogram_quantile(copy, 0.95);
}

struct metrics_recent metrics_recent(struct metrics *metrics, double now)
{
    struct metrics_recent recent = {0};
    struct histogram_copy between[N_HISTOGRAMS] = {0};
    struct moment then;
    bool known = oldest_moment(metrics, &then) && now > then.at;
    if (known) {
        struct moment latest = moment_now(metrics, now);
        for (int i = 0; i < N_HISTOGRAMS; i++)
            between[i] = histogram_since(&latest.histograms[i], &then.histograms[i]);
        recent.seconds = now - then.at;
        recent.requests_per_second = (double)between[TOTAL_TIME].n / recent.seconds;
        recent.tokens_per_second = (double)(latest.tokens - then.tokens) / recent.seconds;
        recent.steps_per_second = (double)between[STEP_CHANGES].n / recent.seconds;
        if (between[STEP_CHANGES].n)
            recent.changes_per_step = between[STEP_CHANGES].sum / (double)between[STEP_CHANGES].n;
    }
    set_quantiles(&between[QUEUE_TIME], &recent.queue_p50, &recent.queue_p95);
    set_quantiles(&between[FIRST_FRAME_TIME], &recent.first_frame_p50, &recent.first_frame_p95);
    set_quantiles(&between[TOTAL_TIME], &recent.total_p50, &recent.total_p95);
    return recent;
}
