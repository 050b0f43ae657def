/*
 * The policy decides which run goes where; this file carries the decision out.
 *
 * A run that gives way or moves is cancelled on its replica, and goes back to the queue as it was after its
 * last frame. The step under way on the replica ends all the same. Its report counts as long as the run
 * waits. Once the run has been started again, under another ticket, the report is ignored.
 */
#include "coordinator/scheduler/scheduler_state.h"

#include "common/log.h"
#include "coordinator/scheduler/snapshot.h"

const struct policy_rules scheduler_rules = {.due_seconds = 30, .due_share = 4};

/* Takes the run off a replica that lives. */
static void take_away(struct scheduler *scheduler, struct run *run, enum scheduler_event_kind why)
{
    struct replica *replica = run->replica;
    replica->operations->cancel(replica->connection, run->ticket);
    scheduler_put_back(scheduler, run, why);
}

static void carry_out(struct scheduler *scheduler, const struct snapshot *snapshot,
                      const struct policy_decision *decision)
{
    for (int i = 0; i < decision->n_preempted; i++)
        take_away(scheduler, run_of_place(decision->preempted[i].place), EVENT_PREEMPTED);
    for (int i = 0; i < decision->n_started; i++) {
        struct run *run = snapshot->waiting_runs[decision->started[i].waiting];
        if (run->replica)
            take_away(scheduler, run, EVENT_MOVED);
        scheduler_start_on(scheduler, run, scheduler->replicas.replicas[decision->started[i].replica]);
    }
    scheduler->starts = decision->starts;
}

/* Returns whether another decision may start more. A run that gave way may find room on another replica. And
 * if more runs wait than the snapshot has, those behind may find room once some of the snapshot's have
 * started. */
static bool decide(struct scheduler *scheduler)
{
    struct snapshot snapshot;
    struct policy_decision decision = {0};
    struct error error;
    enum status status =
        snapshot_take(&snapshot, &scheduler->queue, &scheduler->replicas, scheduler->starts, &error);
    if (status == STATUS_OK)
        status = policy_decide(&scheduler_rules, &snapshot.input, &decision, &error);
    if (status == STATUS_OK)
        carry_out(scheduler, &snapshot, &decision);
    else
        log_error("%s", error.text); /* the next event decides again */
    bool again = decision.n_preempted > 0 || (decision.n_started > 0 && snapshot.is_window);
    policy_decision_release(&decision);
    snapshot_release(&snapshot);
    return again;
}

static void fail_too_long(struct scheduler *scheduler, struct run *run, int64_t longest)
{
    struct error error;
    error_set(&error, STATUS_INVALID_ARGUMENT,
              "length: %d positions; the replicas run at most %lld at a time", run->length,
              (long long)longest);
    scheduler_fail_request(scheduler, run, error.status, error.text);
}

static struct run *first_longer(const struct queue *queue, int64_t longest)
{
    for (int class = 0; class < CLASS_COUNT; class ++) {
        for (struct run *run = queue->by_class[class].first; run; run = run->next) {
            if (run->length > longest)
                return run;
        }
    }
    return NULL;
}

void scheduler_fail_too_long(struct scheduler *scheduler)
{
    int64_t longest = replica_set_longest(&scheduler->replicas);
    struct run *run;
    while (longest >= 0 && (run = first_longer(&scheduler->queue, longest))) /* -1: nothing is known */
        fail_too_long(scheduler, run, longest);
}

/* Does a replica drain that has runs? They could run on another one. */
static bool somebody_could_move(const struct scheduler *scheduler)
{
    if (!replica_set_any(&scheduler->replicas, REPLICA_DRAINING))
        return false;
    for (const struct replica *replica = scheduler->replicas.first; replica; replica = replica->next) {
        if (replica->state == REPLICA_DRAINING && replica->running.n)
            return true;
    }
    return false;
}

static bool has_something_to_decide(const struct scheduler *scheduler)
{
    return replica_set_any(&scheduler->replicas, REPLICA_READY) &&
           (queue_first(&scheduler->queue) || somebody_could_move(scheduler));
}

void scheduler_dispatch(struct scheduler *scheduler)
{
    if (has_something_to_decide(scheduler) || scheduler->has_trial)
        scheduler->is_undecided = true;
}

void scheduler_decide(struct scheduler *scheduler)
{
    scheduler->is_undecided = false;
    if (replica_set_any(&scheduler->replicas, REPLICA_READY))
        scheduler_try_suspect(scheduler);
    while (has_something_to_decide(scheduler) && decide(scheduler))
        ;
}
