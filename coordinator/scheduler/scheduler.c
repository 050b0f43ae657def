/*
 * The coordinator's centre: which run goes where.
 *
 * What. A request is what a client asked; it consists of runs (request.h). A run is a row of ids that a
 * replica refines step by step. Replicas come and go. The last frame of a run is all its state, so a run
 * whose replica is lost, or that gives way to a higher class, goes back to its place in the queue. It goes on
 * later, perhaps elsewhere, from the step that it had reached. A request ends exactly once: when its rule has
 * the answer, or when one of its runs fails.
 *
 *   (refused)                  [scheduler_admit, scheduler_estimate]  no place, no time, no replica
 *   accepted        → queued    [scheduler_accept]       the client is told, and gets the starting frame
 *   queued          → running   [scheduler_dispatch]     as the policy decides (policy.h)
 *   running         → running   [scheduler_report]       one step further, one frame for the client
 *   running         → queued    [scheduler_put_back]     its replica is gone or drains; a higher class came
 *   queued          → queued    [scheduler_report]       the step under way when it gave way still counts
 *   running, queued → finished  [scheduler_report]       the last step
 *   queued, running → cancelled [scheduler_cancel]       the client is gone
 *   queued, running → failed    [scheduler_fail_request] rejected, no replica, too many losses, shut down
 *
 * Threads. The server's thread (clients and replicas), those beside it (offload.h) and the main thread
 * (supervision, signals) call in. One mutex guards everything here, runs, replicas and lists included. Three
 * kinds of callbacks run under it, and must neither block nor call the scheduler: replica_connection queues
 * messages, the observer counts, `changed` wakes the process. What clients hear is only written down under
 * the mutex; scheduler_unlock hands it over without (delivery.h). Nothing is held across a wait.
 *
 * Decisions. Every event keeps up what its replica runs (replica_set.h, occupancy.h), and notes when there is
 * something to decide. It is decided at the unlock, or at the end of a wake-up with several events
 * (scheduler_hold). snapshot.c lists what waits, policy.c and sacrifice.c decide, scheduler_dispatch.c
 * carries it out. estimate.c and cost.c tell how long a request will take. So a message costs the same
 * whatever the number of replicas and runs, and a decision reads a few numbers of each replica.
 *
 * Files. Each calls only files below it in this list, and delivery.c (what clients hear):
 *
 *   scheduler_liveness.c   which replicas live
 *   scheduler_drain.c      how they are made to leave
 *   scheduler_replicas.c   how they come, speak and go
 *   scheduler_requests.c   how requests come
 *   scheduler_admission.c  which of them are taken
 *   scheduler.c            the lock, and what is asked about all
 *   scheduler_dispatch.c   which run goes where
 *   scheduler_suspects.c   runs that may be what kills replicas
 *   scheduler_moves.c      a run's way to a replica and back
 *   scheduler_endings.c    how requests end
 *   scheduler_events.c     whom we tell
 *
 * Names. A request has an id for people and for other programs (request_id.h). Here a run has a number,
 * counted from 1 since the start and never used again; a request goes by the number of its first run.
 * Replicas know a run by a ticket: its number, until it has left a replica that lives and may still speak of
 * it, and another one then. So a late report finds its run only as long as it is still true.
 */
#include "coordinator/scheduler/scheduler_state.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

struct scheduler *scheduler_create(const struct scheduler_options *options)
{
    struct scheduler *scheduler = calloc(1, sizeof *scheduler);
    if (!scheduler)
        return NULL;
    if (!run_table_init(&scheduler->runs)) {
        free(scheduler);
        return NULL;
    }
    scheduler->options = *options;
    pthread_mutex_init(&scheduler->mutex, NULL);
    return scheduler;
}

void scheduler_free(struct scheduler *scheduler)
{
    if (!scheduler)
        return;
    replica_set_free(&scheduler->replicas);
    run_table_release(&scheduler->runs);
    accounts_close(&scheduler->accounts);
    pthread_mutex_destroy(&scheduler->mutex);
    free(scheduler);
}

void scheduler_lock(struct scheduler *scheduler)
{
    pthread_mutex_lock(&scheduler->mutex);
}

void scheduler_unlock(struct scheduler *scheduler)
{
    if (scheduler->is_undecided && !scheduler->n_held)
        scheduler_decide(scheduler);
    struct delivery_list claimed = scheduler->claimed;
    scheduler->claimed = (struct delivery_list){0};
    while (claimed.first) {
        delivery_take(&claimed);
        pthread_mutex_unlock(&scheduler->mutex);
        delivery_hand_over(&claimed);
        pthread_mutex_lock(&scheduler->mutex);
        int n_ended = delivery_settle(&claimed);
        scheduler->n_requests -= n_ended;
        if (n_ended && !scheduler->n_requests)
            scheduler_note_change(scheduler);
    }
    assert(!scheduler->claimed.first); /* whoever held the lock meanwhile has taken what was theirs */
    pthread_mutex_unlock(&scheduler->mutex);
}

void scheduler_hold(struct scheduler *scheduler)
{
    scheduler->n_held++;
}

bool scheduler_is_undecided(const struct scheduler *scheduler)
{
    return scheduler->is_undecided;
}

/* Whoever changes something meanwhile sees n_held above 0 and leaves the decision to us, or sees 0 and makes
 * it. */
void scheduler_settle(struct scheduler *scheduler)
{
    scheduler->n_held--;
    if (!scheduler->is_undecided)
        return;
    scheduler_lock(scheduler);
    scheduler_unlock(scheduler);
}

void scheduler_refuse_new(struct scheduler *scheduler)
{
    scheduler_lock(scheduler);
    scheduler->refusing = true;
    scheduler_unlock(scheduler);
}

bool scheduler_is_idle(struct scheduler *scheduler)
{
    scheduler_lock(scheduler);
    bool idle = !scheduler->n_requests;
    scheduler_unlock(scheduler);
    return idle;
}

void scheduler_end_all(struct scheduler *scheduler, const char *reason)
{
    scheduler_lock(scheduler);
    struct run *waiting;
    while ((waiting = queue_first(&scheduler->queue)))
        scheduler_fail_request(scheduler, waiting, STATUS_UNAVAILABLE, reason);
    for (struct replica *replica = scheduler->replicas.first; replica; replica = replica->next) {
        while (replica->running.first)
            scheduler_fail_request(scheduler, replica->running.first, STATUS_UNAVAILABLE, reason);
    }
    scheduler_unlock(scheduler);
}

enum outlook scheduler_outlook(struct scheduler *scheduler, char *reason, size_t size)
{
    enum outlook outlook = OUTLOOK_WAITING;
    scheduler_lock(scheduler);
    const struct replica *failed = scheduler_last_hope_lost(scheduler);
    if (replica_set_any(&scheduler->replicas, REPLICA_READY)) {
        outlook = OUTLOOK_READY;
    } else if (failed) {
        outlook = OUTLOOK_HOPELESS;
        snprintf(reason, size, "%s: %s", failed->name, failed->last_error);
    }
    scheduler_unlock(scheduler);
    return outlook;
}

/* Why nothing runs, although nobody shuts us down; the replica that came first stands for all. */
static void say_unready(const struct replica *replica, char *reason, size_t size)
{
    if (!replica)
        snprintf(reason, size, "no replica has attached yet");
    else
        snprintf(reason, size, "no replica is ready: %s is %s%s%s", replica->name,
                 replica_state_name(replica->state), *replica->last_error ? ": " : "", replica->last_error);
}

bool scheduler_is_ready(struct scheduler *scheduler, char *reason, size_t size)
{
    scheduler_lock(scheduler);
    bool ready = !scheduler->refusing && replica_set_any(&scheduler->replicas, REPLICA_READY);
    if (scheduler->refusing)
        snprintf(reason, size, "shutting down: no new requests");
    else if (!ready)
        say_unready(scheduler->replicas.first, reason, size);
    scheduler_unlock(scheduler);
    return ready;
}

void scheduler_totals(struct scheduler *scheduler, struct scheduler_totals *totals)
{
    scheduler_lock(scheduler);
    *totals = scheduler->totals;
    struct queue_sums queued = queue_sums(&scheduler->queue, CLASS_COUNT - 1);
    totals->queued = (uint32_t)queued.n;
    totals->queued_tokens = queued.n_tokens;
    totals->running = (uint32_t)(scheduler->runs.n - queued.n);
    totals->running_tokens = scheduler->replicas.running_tokens;
    scheduler_unlock(scheduler);
}

void scheduler_each_replica(struct scheduler *scheduler, void (*visit)(void *context, const struct replica *),
                            void *context)
{
    scheduler_lock(scheduler);
    for (const struct replica *replica = scheduler->replicas.first; replica; replica = replica->next)
        visit(context, replica);
    scheduler_unlock(scheduler);
}
