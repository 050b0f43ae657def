#include "coordinator/scheduler/estimate.h"

#include <math.h>
#include <stdlib.h>

#include "common/clock.h"
#include "coordinator/scheduler/snapshot.h"
#include "coordinator/scheduler/occupancy.h"

static double step_seconds(const struct replica *replica, double tokens, enum estimate_kind kind)
{
    return kind == ESTIMATE_LEAST ? cost_model_least_seconds(&replica->cost, tokens)
                                  : cost_model_step_seconds(&replica->cost, tokens);
}

double estimate_rate(const struct replica_set *replicas, enum estimate_kind kind)
{
    double rate = 0;
    for (const struct replica *replica = replicas->first; replica; replica = replica->next) {
        double tokens = (double)replica->capacity.max_tokens;
        double seconds = step_seconds(replica, tokens, kind);
        if (replica->state == REPLICA_READY && seconds > 0)
            rate += tokens / seconds;
    }
    return rate > 0 ? rate : (double)NAN;
}

double estimate_total(const struct estimate *estimate)
{
    return estimate->wait_seconds + estimate->run_seconds;
}

static bool gives_way(const struct run *run, enum request_class class, const struct policy_rules *rules,
                      double now)
{
    return run->class > class && now - run->accepted_at < rules->due_seconds;
}

/* Steps until a run has room on that replica, beside all that does not give way. */
static uint32_t steps_until_room(const struct replica *replica, const struct run *newcomer,
                                 const struct policy_rules *rules)
{
    const struct replica_capacity *capacity = &replica->capacity;
    const struct policy_replica limits = {.max_sequences = capacity->max_sequences,
                                          .max_tokens = capacity->max_tokens};
    struct occupancy occupancy = {
        .replica = &limits, .entries = calloc((size_t)replica->running.n + 1, sizeof *occupancy.entries)};
    double now = clock_seconds();
    const struct run *run = occupancy.entries ? replica->running.first : NULL;
    for (; run; run = run->next) {
        if (!gives_way(run, newcomer->class, rules, now))
            occupancy_insert(&occupancy, (struct occupancy_entry){.number = run->number,
                                                                  .length = run->length,
                                                                  .leaves_in = run_steps_left(run)});
    }
    uint32_t steps = occupancy_start_in(&occupancy, newcomer->length);
    free(occupancy.entries);
    return steps;
}

static struct estimate estimate_on(const struct replica *replica, const struct run *newcomer, int steps,
                                   const struct policy_rules *rules, struct queue_sums before, double rate,
                                   enum estimate_kind kind)
{
    double most = (double)replica->capacity.max_tokens, running = (double)replica->running.n_tokens;
    double busy_step = step_seconds(replica, fmin(running, most), kind);
    double beside = fmin(running + (double)before.n_tokens + newcomer->length, most);
    uint32_t until_room = steps_until_room(replica, newcomer, rules);
    double boundary = replica->running.n ? 0.5 * busy_step : 0; /* of the step that is under way */
    double room_seconds = until_room == OCCUPANCY_NEVER ? INFINITY : fmax(until_room * busy_step, boundary);
    return (struct estimate){.wait_seconds = fmax((double)before.work / rate, room_seconds),
                             .run_seconds = steps * step_seconds(replica, beside, kind)};
}

struct estimate estimate_run(const struct queue *queue, const struct replica_set *replicas,
                             const struct policy_rules *rules, const struct run *newcomer, int steps,
                             enum estimate_kind kind)
{
    struct estimate best = {(double)NAN, (double)NAN};
    struct queue_sums before = queue_sums(queue, newcomer->class);
    double rate = estimate_rate(replicas, kind);
    for (const struct replica *replica = replicas->first; replica; replica = replica->next) {
        if (replica->state != REPLICA_READY || isnan(cost_model_mean_seconds(&replica->cost)))
            continue;
        struct estimate here = estimate_on(replica, newcomer, steps, rules, before, rate, kind);
        if (isnan(best.run_seconds) || estimate_total(&here) < estimate_total(&best))
            best = here;
    }
    return best;
}

bool estimate_starts_now(const struct replica_set *replicas, const struct policy_rules *rules,
                         const struct run *newcomer)
{
    for (const struct replica *replica = replicas->first; replica; replica = replica->next) {
        if (replica->state == REPLICA_READY &&
            steps_until_room(replica, newcomer, rules) <= snapshot_ahead_steps(replica))
            return true;
    }
    return false;
}
