#include "coordinator/scheduler/snapshot.h"

#include <stdlib.h>

#include "common/clock.h"

void snapshot_release(struct snapshot *snapshot)
{
    free(snapshot->waiting);
    free(snapshot->waiting_runs);
}

static void add(struct snapshot *snapshot, struct run *run, int replica)
{
    int i = snapshot->input.n_waiting++;
    snapshot->waiting_runs[i] = run;
    snapshot->waiting[i] = (struct policy_waiting){.number = run->number,
                                                   .class = run->class,
                                                   .length = run->length,
                                                   .steps_left = run_steps_left(run),
                                                   .accepted_at = run->accepted_at,
                                                   .replica = replica};
}

/* Adds the runs of replicas that drain: they could move to other replicas. A suspect stays where it is,
 * alone. */
static void add_moving(struct snapshot *snapshot, const struct replica_set *replicas)
{
    if (!replica_set_any(replicas, REPLICA_DRAINING))
        return;
    for (const struct replica *replica = replicas->first; replica; replica = replica->next) {
        struct run *run = replica->state == REPLICA_DRAINING ? replica->running.first : NULL;
        for (; run; run = run->next) {
            if (!run_is_suspect(run))
                add(snapshot, run, replica->index);
        }
    }
}

static void add_queue(struct snapshot *snapshot, const struct queue *queue)
{
    for (int class = 0; class < CLASS_COUNT; class ++) {
        struct run *run = queue->by_class[class].first;
        for (int i = 0; i < SNAPSHOT_WINDOW && run; run = run->next) {
            if (run_is_suspect(run))
                continue; /* scheduler_suspects.c starts it */
            add(snapshot, run, -1);
            i++;
        }
        snapshot->is_window |= run != NULL;
    }
}

static size_t count_moving(const struct replica_set *replicas)
{
    size_t n = 0;
    const struct replica *replica = replica_set_any(replicas, REPLICA_DRAINING) ? replicas->first : NULL;
    for (; replica; replica = replica->next)
        n += replica->state == REPLICA_DRAINING ? (size_t)replica->running.n : 0;
    return n;
}

static size_t count_window(const struct queue *queue)
{
    size_t n = 0;
    for (int class = 0; class < CLASS_COUNT; class ++) {
        int n_class = queue->by_class[class].n;
        n += (size_t)(n_class < SNAPSHOT_WINDOW ? n_class : SNAPSHOT_WINDOW);
    }
    return n;
}

enum status snapshot_take(struct snapshot *snapshot, const struct queue *queue, struct replica_set *replicas,
                          int starts, struct error *error)
{
    size_t n = count_moving(replicas) + count_window(queue) + 1;
    *snapshot = (struct snapshot){.waiting = malloc(n * sizeof *snapshot->waiting),
                                  .waiting_runs = malloc(n * sizeof *snapshot->waiting_runs)};
    if (!snapshot->waiting || !snapshot->waiting_runs)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory to decide what runs next");
    add_moving(snapshot, replicas);
    add_queue(snapshot, queue);
    snapshot->input.waiting = snapshot->waiting;
    snapshot->input.replicas = replicas->places;
    snapshot->input.n_replicas = replicas->n;
    snapshot->input.equal_slowness = replicas->n_unmeasured > 0;
    snapshot->input.now = clock_seconds();
    snapshot->input.starts = starts;
    return STATUS_OK;
}
