#ifndef MILLRACE_COORDINATOR_SCHEDULER_ESTIMATE_H
#define MILLRACE_COORDINATOR_SCHEDULER_ESTIMATE_H

#include "coordinator/scheduler/policy.h"
#include "coordinator/scheduler/queue.h"
#include "coordinator/scheduler/replica_set.h"

/*
 * When would a run be finished, if it came now? The estimate depends on the runs on the replicas, on the runs
 * that wait before the new one, and on the time of the replicas' steps (cost.h). It is that of the replica
 * where the run would end soonest, among the ready ones that have been measured:
 *
 *   wait = the longer of two times: until the work that waits before the run is done, and until the replica
 *          has room for it; that work (positions × steps) is that of its class and of higher ones, and all
 *          replicas share it
 *   run  = steps × the time of a step; its batch has the replica's runs, those that wait before, and the run
 *
 * Runs that would give way to the new one do not delay its start.
 *
 * An estimate costs a few instructions for each replica: for most, a bound already shows that the run would
 * not end there soonest.
 */
struct estimate {
    double wait_seconds, run_seconds; /* NAN: nothing is measured yet */
};

/* LEAST: a batch larger than any that was measured counts as the largest that was. LIKELY: its time follows
 * the line of cost.h. */
enum estimate_kind { ESTIMATE_LIKELY, ESTIMATE_LEAST };

struct estimate estimate_run(const struct queue *queue, const struct replica_set *replicas,
                             const struct policy_rules *rules, const struct run *newcomer, int steps,
                             enum estimate_kind kind);
double estimate_total(const struct estimate *estimate);

/* Could the run go to a replica at once, if no run waited before it? */
bool estimate_starts_now(const struct replica_set *replicas, const struct policy_rules *rules,
                         const struct run *newcomer);

/* Positions times steps that all ready replicas do in a second when they are full; NAN: nothing is measured
 * yet. */
double estimate_rate(const struct replica_set *replicas, enum estimate_kind kind);

#endif
