#ifndef MILLRACE_COORDINATOR_SCHEDULER_SNAPSHOT_H
#define MILLRACE_COORDINATOR_SCHEDULER_SNAPSHOT_H

#include "coordinator/scheduler/policy.h"
#include "coordinator/scheduler/queue.h"
#include "coordinator/scheduler/replica.h"

/* The scheduler's state as the policy sees it: plain numbers, and beside each whose they are. */
struct snapshot {
    struct policy_input input;
    struct policy_waiting *waiting;
    struct policy_running *running;
    struct policy_replica *replicas;
    struct run **waiting_runs, **running_runs;
    struct replica **replica_records;
};

/* Of each class's queue the first 64 are drawn. RESOURCE_EXHAUSTED without memory; release it in any case. */
enum status snapshot_take(struct snapshot *snapshot, const struct queue *queue,
                          const struct replica_set *replicas, int starts, struct error *error);
void snapshot_release(struct snapshot *snapshot);

/* Steps that runs of a replica may be from their end to count as ended: what takes their places is sent
 * ahead. */
uint32_t snapshot_ahead_steps(const struct replica *replica);

#endif
