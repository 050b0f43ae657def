#ifndef MILLRACE_COORDINATOR_SCHEDULER_SNAPSHOT_H
#define MILLRACE_COORDINATOR_SCHEDULER_SNAPSHOT_H

#include "coordinator/scheduler/policy.h"
#include "coordinator/scheduler/queue.h"
#include "coordinator/scheduler/replica_set.h"

/* What the policy decides about. The runs that wait are copied as plain numbers, with a pointer to each run.
 * The replicas are not copied: the policy reads the table of the replica set. */
struct snapshot {
    struct policy_input input;
    struct policy_waiting *waiting; /* [input.n_waiting] */
    struct run **waiting_runs;      /* [input.n_waiting] */
    bool is_window;                 /* more runs wait than are in it */
};

/* Takes the first SNAPSHOT_WINDOW runs of each class's queue that are not suspect, and before them the runs
 * of replicas that drain. RESOURCE_EXHAUSTED: no memory. Release the snapshot in any case. */
enum { SNAPSHOT_WINDOW = 64 };
enum status snapshot_take(struct snapshot *snapshot, const struct queue *queue, struct replica_set *replicas,
                          int starts, struct error *error);
void snapshot_release(struct snapshot *snapshot);

#endif
