#include "coordinator/scheduler/estimate.h"

#include <math.h>

#include "common/clock.h"

double estimate_rate(const struct replica_set *replicas, enum estimate_kind kind)
{
    double rate = 0;
    for (int i = 0; i < replicas->n; i++)
        rate += kind == ESTIMATE_LEAST ? replicas->paces[i].least_rate : replicas->paces[i].rate;
    return rate > 0 ? rate : (double)NAN;
}

double estimate_total(const struct estimate *estimate)
{
    return estimate->wait_seconds + estimate->run_seconds;
}

/* fmin and fmax are calls. This code runs once for each replica, so every instruction counts. */
static double smaller(double a, double b)
{
    return a < b ? a : b;
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

static double step_seconds(const struct replica_pace *pace, double tokens, enum estimate_kind kind)
{
    double counted = kind == ESTIMATE_LEAST ? smaller(tokens, pace->most_tokens) : tokens;
    return cost_line_seconds(&pace->line, counted);
}

/* The question to every replica. */
struct question {
    const struct run *newcomer;
    int steps;
    enum estimate_kind kind;
    double queue_seconds; /* how long all replicas need for what waits before it */
    double queue_tokens;  /* positions that wait before it */
    double due_at;        /* runs that were accepted by then (seconds) do not give way */
};

static bool has_lower(const struct occupancy *occupancy, enum request_class class)
{
    for (int c = (int)class + 1; c < CLASS_COUNT; c++) {
        if (occupancy->by_class[c].n)
            return true;
    }
    return false;
}

/* A lower bound of the steps until the replica has room for it. */
static uint32_t least_start(const struct occupancy *occupancy, const struct run *newcomer)
{
    const struct occupancy_limits *limits = &occupancy->limits;
    bool fits =
        occupancy->n < limits->max_sequences && occupancy->n_tokens + newcomer->length <= limits->max_tokens;
    if (fits || !occupancy->n_groups || has_lower(occupancy, newcomer->class))
        return 0;
    return occupancy->groups[0].steps_left;
}

/* The estimate for a replica that has room after so many steps. */
static struct estimate estimate_on(const struct occupancy *occupancy, const struct replica_pace *pace,
                                   const struct question *question, uint32_t until_room)
{
    double most = pace->max_tokens, running = (double)occupancy->n_tokens;
    double busy_step = step_seconds(pace, smaller(running, most), question->kind);
    double beside = smaller(running + question->queue_tokens + question->newcomer->length, most);
    double boundary = occupancy->n ? 0.5 * busy_step : 0; /* of the step under way */
    double room_seconds = until_room == OCCUPANCY_NEVER ? INFINITY : larger(until_room * busy_step, boundary);
    return (struct estimate){.wait_seconds = larger(question->queue_seconds, room_seconds),
                             .run_seconds = question->steps * step_seconds(pace, beside, question->kind)};
}

/* The better of `best` and this replica. */
static struct estimate better(struct estimate best, const struct occupancy *occupancy,
                              const struct replica_pace *pace, const struct question *question)
{
    const struct run *newcomer = question->newcomer;
    struct estimate bound = estimate_on(occupancy, pace, question, least_start(occupancy, newcomer));
    if (estimate_total(&bound) >= estimate_total(&best)) /* false while best is NAN */
        return best;
    uint32_t start = occupancy_start_above(occupancy, newcomer->length, newcomer->class, question->due_at);
    struct estimate here = estimate_on(occupancy, pace, question, start);
    return isnan(best.run_seconds) || estimate_total(&here) < estimate_total(&best) ? here : best;
}

struct estimate estimate_run(const struct queue *queue, const struct replica_set *replicas,
                             const struct policy_rules *rules, const struct run *newcomer, int steps,
                             enum estimate_kind kind)
{
    struct estimate best = {(double)NAN, (double)NAN};
    struct queue_sums before = queue_sums(queue, newcomer->class);
    const struct question question = {
        .newcomer = newcomer,
        .steps = steps,
        .kind = kind,
        .queue_seconds = before.work ? (double)before.work / estimate_rate(replicas, kind) : 0,
        .queue_tokens = (double)before.n_tokens,
        .due_at = clock_seconds() - rules->due_seconds};
    for (int i = 0; i < replicas->n; i++) {
        if (replicas->paces[i].is_measured)
            best = better(best, &replicas->places[i].occupancy, &replicas->paces[i], &question);
    }
    return best;
}

bool estimate_starts_now(const struct replica_set *replicas, const struct policy_rules *rules,
                         const struct run *newcomer)
{
    double due_at = clock_seconds() - rules->due_seconds;
    for (int i = 0; i < replicas->n; i++) {
        const struct occupancy *occupancy = &replicas->places[i].occupancy;
        if (replicas->replicas[i]->state == REPLICA_READY &&
            (occupancy_takes(occupancy, newcomer->length) ||
             occupancy_start_above(occupancy, newcomer->length, newcomer->class, due_at) <=
                 occupancy->limits.ahead_steps))
            return true;
    }
    return false;
}
