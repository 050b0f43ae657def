#include "coordinator/scheduler/snapshot.h"

#include <math.h>
#include <stdlib.h>

#include "common/clock.h"

enum { WINDOW = 64, AHEAD_STEPS_MOST = 8 };

/* Between the end of a step there and the arrival of what we send because of it. */
#define ROUND_TRIP_SECONDS 0.01

uint32_t snapshot_ahead_steps(const struct replica *replica)
{
    double step_seconds = cost_model_mean_seconds(&replica->cost);
    if (!replica->capacity.held_sequences)
        return 0;
    double trip_steps = step_seconds > 0 ? ceil(ROUND_TRIP_SECONDS / step_seconds) : 1;
    return (uint32_t)fmin(fmax(trip_steps, 1) + replica->capacity.run_ahead_steps, AHEAD_STEPS_MOST);
}

static bool allocate(struct snapshot *snapshot, size_t n_replicas, size_t n_running)
{
    size_t n_waiting = n_running + CLASS_COUNT * WINDOW;
    snapshot->replicas = calloc(n_replicas + 1, sizeof *snapshot->replicas);
    snapshot->replica_records = calloc(n_replicas + 1, sizeof *snapshot->replica_records);
    snapshot->running = calloc(n_running + 1, sizeof *snapshot->running);
    snapshot->running_runs = calloc(n_running + 1, sizeof *snapshot->running_runs);
    snapshot->waiting = calloc(n_waiting, sizeof *snapshot->waiting);
    snapshot->waiting_runs = calloc(n_waiting, sizeof *snapshot->waiting_runs);
    return snapshot->replicas && snapshot->replica_records && snapshot->running && snapshot->running_runs &&
           snapshot->waiting && snapshot->waiting_runs;
}

void snapshot_release(struct snapshot *snapshot)
{
    free(snapshot->replicas);
    free(snapshot->replica_records);
    free(snapshot->running);
    free(snapshot->running_runs);
    free(snapshot->waiting);
    free(snapshot->waiting_runs);
}

static void add_waiting(struct snapshot *snapshot, struct run *run, int replica, double now)
{
    int i = snapshot->input.n_waiting++;
    snapshot->waiting_runs[i] = run;
    snapshot->waiting[i] = (struct policy_waiting){.number = run->number,
                                                   .class = run->class,
                                                   .length = run->length,
                                                   .steps_left = run_steps_left(run),
                                                   .waited = now - run->accepted_at,
                                                   .replica = replica};
}

static void add_running(struct snapshot *snapshot, struct run *run, int replica, double now)
{
    int i = snapshot->input.n_running++;
    snapshot->running_runs[i] = run;
    snapshot->running[i] = (struct policy_running){.number = run->number,
                                                   .class = run->class,
                                                   .length = run->length,
                                                   .steps_left = run_steps_left(run),
                                                   .waited = now - run->accepted_at,
                                                   .replica = replica};
}

/* With what runs there; what could move elsewhere is among those that wait. */
static void add_replica(struct snapshot *snapshot, struct replica *replica, double now)
{
    int i = snapshot->input.n_replicas++;
    const struct replica_capacity *capacity = &replica->capacity;
    double full_step = cost_model_step_seconds(&replica->cost, (double)capacity->max_tokens);
    snapshot->replica_records[i] = replica;
    snapshot->replicas[i] =
        (struct policy_replica){.open = replica->state == REPLICA_READY && !replica->is_closed,
                                .max_sequences = capacity->max_sequences,
                                .held_sequences = capacity->held_sequences,
                                .max_tokens = capacity->max_tokens,
                                .held_tokens = capacity->held_tokens,
                                .ahead_steps = snapshot_ahead_steps(replica),
                                .slowness = full_step / (double)capacity->max_tokens};
    for (struct run *run = replica->running.first; run; run = run->next) {
        add_running(snapshot, run, i, now);
        if (replica->state == REPLICA_DRAINING && !run_is_suspect(run))
            add_waiting(snapshot, run, i, now);
    }
}

/* Until all are measured they count as equal. */
static void settle_slowness(struct snapshot *snapshot)
{
    bool all = true;
    for (int i = 0; i < snapshot->input.n_replicas; i++)
        all = all && (snapshot->replicas[i].slowness > 0 || !snapshot->replicas[i].open);
    for (int i = 0; i < snapshot->input.n_replicas && !all; i++)
        snapshot->replicas[i].slowness = 1;
}

static void add_queue(struct snapshot *snapshot, const struct queue *queue, double now)
{
    for (int class = 0; class < CLASS_COUNT; class ++) {
        struct run *run = queue->by_class[class].first;
        for (int i = 0; i < WINDOW && run; run = run->next) {
            if (run_is_suspect(run))
                continue; /* scheduler_suspects.c starts it */
            add_waiting(snapshot, run, -1, now);
            i++;
        }
    }
}

enum status snapshot_take(struct snapshot *snapshot, const struct queue *queue,
                          const struct replica_set *replicas, int starts, struct error *error)
{
    size_t n_replicas = 0, n_running = 0;
    double now = clock_seconds();
    *snapshot = (struct snapshot){.input.starts = starts};
    for (const struct replica *replica = replicas->first; replica; replica = replica->next) {
        n_replicas++;
        n_running += (size_t)replica->running.n;
    }
    if (!allocate(snapshot, n_replicas, n_running))
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory to decide what runs next");
    for (struct replica *replica = replicas->first; replica; replica = replica->next) {
        if (replica->state == REPLICA_READY || replica->running.n)
            add_replica(snapshot, replica, now);
    }
    settle_slowness(snapshot);
    add_queue(snapshot, queue, now);
    snapshot->input.waiting = snapshot->waiting;
    snapshot->input.running = snapshot->running;
    snapshot->input.replicas = snapshot->replicas;
    return STATUS_OK;
}
