/*
 * The scheduler is the coordinator's centre: it decides which run goes where.
 *
 * What. A request is what a client asked; it consists of runs (request.h). A run is a row of ids that a
 * replica refines step by step. Replicas come and go. The last frame of a run is all its state. So a run
 * whose replica is lost, or that gives way to a higher class, goes back to where it was in the queue. It goes
 * on later, perhaps on another replica, from the step that it had reached. A request ends exactly once: when
 * its rule has the answer, or when one of its runs fails.
 *
 *   (refused)                  [scheduler_admit, scheduler_estimate]  no room, no time, no replica
 *   accepted        → queued    [scheduler_accept]       the client is told, and gets the starting frame
 *   queued          → running   [scheduler_dispatch]     as the policy decides (policy.h)
 *   running         → running   [scheduler_report]       one step further, one frame for the client
 *   running         → queued    [scheduler_put_back]     its replica is gone or drains; a higher class came
 *   queued          → queued    [scheduler_report]       the step under way when it gave way still counts
 *   running, queued → finished  [scheduler_report]       the last step
 *   queued, running → cancelled [scheduler_cancel]       the client is gone
 *   queued, running → failed    [scheduler_fail_request] rejected, no replica, too many losses, shut down
 *
 * Threads. Three kinds of threads call the scheduler: the server's thread (clients and replicas), its helpers
 * (offload.h), and the main thread (supervision, signals). One mutex guards everything here, with the runs,
 * replicas and lists. Three kinds of callbacks run under the mutex, and must neither block nor call the
 * scheduler: replica_connection queues messages, the observer counts, `changed` wakes the process. Events for
 * clients are only queued under the mutex; scheduler_unlock hands them over without it (delivery.h). No
 * thread waits for anything while it has the mutex.
 *
 * Decisions. Every event updates the numbers of its replica (replica_set.h, occupancy.h), and notes when
 * there is something to decide. The unlock then decides, or scheduler_settle after several events
 * (scheduler_hold). snapshot.c lists the runs that wait, policy.c and sacrifice.c decide, and
 * scheduler_dispatch.c carries the decision out. estimate.c and cost.c tell how long a request will take. So
 * a message costs the same whatever the number of replicas and runs, and a decision reads a few numbers of
 * each replica.
 *
 * Files. Each file calls only files below it in this list, and delivery.c, which tells clients:
 *
 *   scheduler_liveness.c   which replicas live
 *   scheduler_drain.c      how they are made to leave
 *   scheduler_replicas.c   how they come, speak and go
 *   scheduler_requests.c   how requests come
 *   scheduler_admission.c  which of them are accepted
 *   scheduler.c            the lock, and questions about the whole
 *   scheduler_dispatch.c   which run goes where
 *   scheduler_suspects.c   runs that may be what kills replicas
 *   scheduler_moves.c      a run's way to a replica and back
 *   scheduler_endings.c    how requests end
 *   scheduler_events.c     who hears of events
 *
 * Names. A request has an id for people and for other programs (request_id.h). Here a run has a number, which
 * counts from 1 and is never used again. A request goes by the number of its first run. Replicas know a run
 * by a ticket. The first ticket is the number. A run that has left a replica which still lives gets another
 * ticket when it starts again, because that replica may still report about it. So a late report finds its run
 * only as long as the report is true.
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
    assert(!scheduler->claimed.first); /* other threads took their own requests along when they unlocked */
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

/* Another thread that changes something meanwhile either sees n_held above 0 and leaves the decision to us,
 * or sees 0 and decides itself. */
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

/* Says why nothing runs although we do not shut down. The first replica stands for all. */
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
