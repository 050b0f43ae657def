#ifndef MILLRACE_TESTS_COORDINATOR_SCHEDULER_CAPACITY_CASES_H
#define MILLRACE_TESTS_COORDINATOR_SCHEDULER_CAPACITY_CASES_H

#include <check.h>

#include "coordinator/scheduler/queue.h"
#include "coordinator/scheduler/replica_set.h"

/* What decisions are made of, each alone: the cases, one per file, and runs and replicas for them without a
 * scheduler. */
TCase *occupancy_case(void);
TCase *cost_case(void);
TCase *estimate_case(void);
TCase *snapshot_case(void);
TCase *replica_set_case(void);

/* A run of so many positions and steps; numbers are counted up. */
struct run plain_run(enum request_class class, int length, int steps, double accepted_at);

/* A ready replica of that name, with room for so much and nothing held. */
struct replica *ready_replica(struct replica_set *set, const char *name, int max_sequences,
                              int64_t max_tokens);

/* It has taken steps of so many tokens, which took so many seconds each: enough to be measured. */
void measure_replica(struct replica_set *set, struct replica *replica, double tokens, double seconds);

/* Puts the run on the replica. */
void place_run(struct replica_set *set, struct replica *replica, struct run *run);

#endif
