#ifndef MILLRACE_COORDINATOR_SCHEDULER_SNAPSHOT_H
#define MILLRACE_COORDINATOR_SCHEDULER_SNAPSHOT_H

#include "coordinator/scheduler/policy.h"
#include "coordinator/scheduler/queue.h"
#include "coordinator/scheduler/replica_set.h"

/* What the policy decides about: the runs that wait, as plain numbers, and beside each whose they are. The
 * replicas are not copied: their table is the policy's input as it is. */
struct snapshot {
    struct policy_input input;
    struct policy_waiting *waiting;
    struct run **waiting_runs;
    bool is_window; /* more wait than it has */
};

/* Of each class's queue it has the first SNAPSHOT_WINDOW, without those that are suspect. RESOURCE_EXHAUSTED
 * without memory; release it in any case. */
enum { SNAPSHOT_WINDOW = 64 };
enum status snapshot_take(struct snapshot *snapshot, const struct queue *queue, struct replica_set *replicas,
                          int starts, struct error *error);
void snapshot_release(struct snapshot *snapshot);

#endif
