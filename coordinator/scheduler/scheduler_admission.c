/*
 * Which requests are accepted. There are four questions, in this order. Is there a replica that could ever
 * run the request? Does its client have too much here already? Does the queue have room? Can the request be
 * finished by the deadline of its call?
 *
 * The queue. Its bounds count only the runs that would start before the newcomer: those of its own class and
 * of higher ones. So a flood of low requests does not keep a high one out, and at most CLASS_COUNT times the
 * bound can wait.
 *
 * Deadlines. An estimate may be wrong. So a request is refused only if even 0.8 of the estimate is longer
 * than the time left, and automatic steps are chosen so that 1.2 of the estimate fits. Before any step was
 * measured, no request is refused for time, and automatic steps under a deadline are at most the model's
 * default, within the request's own limits. A batch may be larger than any that was measured. To refuse, it
 * counts as no slower than the largest one that was; to choose steps, its time grows in proportion.
 */
#include "coordinator/scheduler/scheduler_state.h"

#include <limits.h>
#include <math.h>

#include "common/clock.h"
#include "coordinator/scheduler/estimate.h"

#define REFUSE_PART 0.8
#define STALE_SECONDS 5.0 /* an idle cluster's estimate is trusted for so long */
#define CHOOSE_PART 1.2
#define LEAST_HINT_SECONDS 0.1
#define MOST_HINT_SECONDS 60.0

/* Adds a hint when the same request may be accepted: after `seconds`. NAN: unknown; it is then a second. */
static enum status refuse_for_now(struct error *error, double seconds)
{
    double hint = isnan(seconds) ? 1 : fmin(fmax(seconds, LEAST_HINT_SECONDS), MOST_HINT_SECONDS);
    if (error)
        error->retry_after_ms = (int)ceil(1e3 * hint);
    return STATUS_RESOURCE_EXHAUSTED;
}

/* ---- is there a replica ---- */

static enum status check_replicas(const struct scheduler *scheduler, enum refusal *refusal,
                                  struct error *error)
{
    const struct replica *failed = scheduler_last_hope_lost(scheduler);
    *refusal = REFUSED_SHUTDOWN;
    if (scheduler->refusing)
        return error_set(error, STATUS_UNAVAILABLE,
                         "the coordinator is shutting down; try another, or again later");
    *refusal = REFUSED_NO_REPLICA;
    return failed ? scheduler_no_replica_error(failed, error) : STATUS_OK;
}

/* ---- one client ---- */

/* The caller's own limit, or else the default for all clients. INT64_MAX: there is no limit. */
static int64_t limit_of(int64_t own, int64_t otherwise)
{
    int64_t limit = own ? own : otherwise;
    return limit > 0 ? limit : INT64_MAX;
}

static enum status check_client(const struct scheduler *scheduler, const struct request *request,
                                enum refusal *refusal, struct error *error)
{
    const struct request_terms *terms = &request->terms;
    const struct account *account = accounts_find(&scheduler->accounts, terms->caller);
    int64_t length = request_positions(request);
    int64_t n_requests = account ? account->n_requests : 0, n_tokens = account ? account->n_tokens : 0;
    int64_t most_requests = limit_of(terms->max_requests, scheduler->options.client_requests);
    int64_t most_tokens = limit_of(terms->max_tokens, scheduler->options.client_tokens);
    double hint = scheduler->mean_run_seconds > 0 ? scheduler->mean_run_seconds : (double)NAN;
    *refusal = REFUSED_CLIENT;
    if (n_requests >= most_requests) {
        error_set(
            error, STATUS_RESOURCE_EXHAUSTED,
            "client %s has %lld requests here, the most that it may have at a time; wait until one ends",
            terms->caller, (long long)n_requests);
        return refuse_for_now(error, hint);
    }
    if (length > most_tokens)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "length: %lld positions; client %s may have %lld at a time", (long long)length,
                         terms->caller, (long long)most_tokens);
    if (n_tokens + length > most_tokens) {
        error_set(
            error, STATUS_RESOURCE_EXHAUSTED,
            "client %s has texts of %lld positions here; %lld more would be over its limit of %lld; wait "
            "until one ends",
            terms->caller, (long long)n_tokens, (long long)length, (long long)most_tokens);
        return refuse_for_now(error, hint);
    }
    return STATUS_OK;
}

/* ---- the queue ---- */

/* Half of the time in which the runs before the newcomer would be done. The queue has room again long before
 * it is empty, and clients come back at different times. */
static double queue_hint(const struct scheduler *scheduler, struct queue_sums before)
{
    return 0.5 * (double)before.work / estimate_rate(&scheduler->replicas, ESTIMATE_LIKELY);
}

static enum status check_queue(const struct scheduler *scheduler, const struct request *request,
                               enum refusal *refusal, struct error *error)
{
    const struct scheduler_options *options = &scheduler->options;
    int64_t length = request_positions(request);
    struct queue_sums before = queue_sums(&scheduler->queue, request->terms.class);
    if (!before.n && estimate_starts_now(&scheduler->replicas, &scheduler_rules, request->runs))
        return STATUS_OK;
    *refusal = REFUSED_QUEUE_REQUESTS;
    if (before.n >= options->max_queue) {
        error_set(error, STATUS_RESOURCE_EXHAUSTED,
                  "the queue is full: %d requests wait (--max-queue %d); try again later", before.n,
                  options->max_queue);
        return refuse_for_now(error, queue_hint(scheduler, before));
    }
    *refusal = REFUSED_QUEUE_TOKENS;
    if (options->max_queue_tokens && before.n_tokens + length > options->max_queue_tokens) {
        error_set(error, STATUS_RESOURCE_EXHAUSTED,
                  "the queue is full: texts of %lld positions wait, and %lld more would be over "
                  "--max-queue-tokens %lld; "
                  "try again later",
                  (long long)before.n_tokens, (long long)length, (long long)options->max_queue_tokens);
        return refuse_for_now(error, queue_hint(scheduler, before));
    }
    return STATUS_OK;
}

enum status scheduler_admit(const struct scheduler *scheduler, const struct request *request,
                            enum refusal *refusal, struct error *error)
{
    enum status status = check_replicas(scheduler, refusal, error);
    if (status == STATUS_OK)
        status = check_client(scheduler, request, refusal, error);
    return status == STATUS_OK ? check_queue(scheduler, request, refusal, error) : status;
}

/* ---- steps and the deadline ---- */

/* The runs of a request are alike, and run at the same time: the request takes as long as its first run. */
static struct estimate estimate(const struct scheduler *scheduler, const struct request *request, int steps,
                                enum estimate_kind kind)
{
    return estimate_run(&scheduler->queue, &scheduler->replicas, &scheduler_rules, request->runs, steps,
                        kind);
}

static double likely_seconds(const struct scheduler *scheduler, const struct request *request, int steps)
{
    struct estimate likely = estimate(scheduler, request, steps, ESTIMATE_LIKELY);
    return estimate_total(&likely);
}

/* The largest power of two from `least` to `most`; `least` where there is none. */
static int power_between(int least, int most)
{
    int power = 1;
    while (power <= most / 2)
        power *= 2;
    return power >= least ? power : least;
}

/* Chooses automatic steps: the most that leave enough time. */
static int choose_steps(const struct scheduler *scheduler, const struct request *request, double seconds_left)
{
    const struct request_choices *choices = &request->choices;
    int least = choices->steps_least, most = choices->steps_most;
    bool is_measured = !isnan(likely_seconds(scheduler, request, most));
    if (!is_measured && isfinite(seconds_left) && choices->steps_default < most)
        most = choices->steps_default;
    int steps = power_between(least, most);
    while (is_measured && steps > least &&
           CHOOSE_PART * likely_seconds(scheduler, request, steps) > seconds_left)
        steps = power_between(least, steps - 1);
    return steps;
}

static enum status refuse_for_time(const struct estimate *least, double left, int steps, bool is_automatic,
                                   struct error *error)
{
    return error_set(
        error, STATUS_DEADLINE_EXCEEDED,
        "deadline: %.3g s are left, and the request would take about %.3g s (%.3g s of waiting, %.3g s for "
        "%d steps); allow more time or ask for %s",
        fmax(left, 0), estimate_total(least), least->wait_seconds, least->run_seconds, steps,
        is_automatic ? "fewer steps at least" : "fewer steps, or automatic ones");
}

/* An estimate refuses nobody when nothing runs and no step has confirmed it for a while: the last step that
 * was measured may have been an outlier, and while all are refused no other is measured. */
static bool is_stale(const struct scheduler *scheduler)
{
    return !scheduler->runs.n && clock_seconds() - scheduler->measured_at > STALE_SECONDS;
}

enum status scheduler_estimate(const struct scheduler *scheduler, struct request *request,
                               enum refusal *refusal, struct error *error)
{
    double deadline_at = request->terms.deadline_at;
    double left = deadline_at ? deadline_at - clock_seconds() : (double)INFINITY;
    bool is_automatic = request->choices.steps_least > 0;
    int steps = is_automatic ? choose_steps(scheduler, request, left) : request->choices.steps_most;
    request_set_steps(request, steps);
    double likely = likely_seconds(scheduler, request, steps);
    request->estimated_seconds = isfinite(likely) ? likely : 0;
    if (!(REFUSE_PART * likely > left) || (left > 0 && is_stale(scheduler)))
        return STATUS_OK; /* the least estimate is no longer; or nothing is measured, and `likely` is NAN */
    struct estimate least = estimate(scheduler, request, steps, ESTIMATE_LEAST);
    if (!(REFUSE_PART * estimate_total(&least) > left))
        return STATUS_OK;
    *refusal = REFUSED_DEADLINE;
    return refuse_for_time(&least, left, steps, is_automatic, error);
}
