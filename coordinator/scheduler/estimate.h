#ifndef MILLRACE_COORDINATOR_SCHEDULER_ESTIMATE_H
#define MILLRACE_COORDINATOR_SCHEDULER_ESTIMATE_H

#include "coordinator/scheduler/policy.h"
#include "coordinator/scheduler/queue.h"
#include "coordinator/scheduler/replica_set.h"

/*
 * When would a run be finished, if it came now? From what runs, what waits before it, and what the
 * replicas' steps have taken (cost.h). Of the ready replicas that have been measured, the one where it ends
 * soonest:
 *
 *   wait = the work that waits before it (its class and higher ones, positions × steps) / the work that
 *          all replicas do in a second, or the steps until it has room beside what runs there,
 *          whichever is longer
 *   run  = steps × a step of a batch of what runs there, what waits before it, and itself
 *
 * Runs that would give way to it do not count as running.
 *
 * It costs a few instructions a replica: of most a bound says that they are not the one.
 */
struct estimate {
    double wait_seconds, run_seconds; /* NAN: nothing is measured yet */
};

/* LEAST: where a batch would be larger than any that was measured, no more than what was. */
enum estimate_kind { ESTIMATE_LIKELY, ESTIMATE_LEAST };

struct estimate estimate_run(const struct queue *queue, const struct replica_set *replicas,
                             const struct policy_rules *rules, const struct run *newcomer, int steps,
                             enum estimate_kind kind);
double estimate_total(const struct estimate *estimate);

/* Could it go to a replica at once, if nobody waited before it? */
bool estimate_starts_now(const struct replica_set *replicas, const struct policy_rules *rules,
                         const struct run *newcomer);

/* Positions times steps that all ready replicas do in a second when they are full; NAN: nothing is measured
 * yet. */
double estimate_rate(const struct replica_set *replicas, enum estimate_kind kind);

#endif
