/*
 * Requests that may be what kills replicas.
 *
 * A request may make the engine fail. It then takes its replica down, and with it every request that runs
 * there. If all of them were sent together again, the next replica would fail in the same way, and after
 * MAX_LOSSES nobody could tell which one was the cause. So a run that has lost SUSPECT_LOSSES replicas in a
 * row is a suspect, and is started alone. A suspect that takes a step is cleared. The one that is the cause
 * harms no other request from then on, and fails after MAX_LOSSES.
 *
 * One replica at a time tries suspects: the ready one that was lost least often while it ran this one, and of
 * those the one with the fewest runs. So a replica that is itself the cause does not get a request again
 * while another could run it. The replica gets no other runs, and starts a suspect once it is empty. A
 * replica that has not taken a step since it attached serves other runs first. So a request that kills every
 * replica cannot keep others from being served.
 */
#include "coordinator/scheduler/scheduler_state.h"

static bool other_waits(const struct scheduler *scheduler)
{
    for (int class = 0; class < CLASS_COUNT; class ++) {
        for (const struct run *s = scheduler->queue.by_class[class].first; s; s = s->next) {
            if (!run_is_suspect(s))
                return true;
        }
    }
    return false;
}

/* The waiting suspect that lost the fewest replicas: it is the least likely cause. Among equals, the first.
 * NULL: no suspect waits. */
static struct run *next_suspect(const struct scheduler *scheduler)
{
    struct run *next = NULL;
    for (int class = 0; class < CLASS_COUNT; class ++) {
        for (struct run *s = scheduler->queue.by_class[class].first; s; s = s->next) {
            if (run_is_suspect(s) && (!next || s->n_losses < next->n_losses))
                next = s;
        }
    }
    return next;
}

static void close_replica(struct scheduler *scheduler, struct replica *replica, bool is_closed)
{
    if (replica->is_closed == is_closed)
        return;
    replica->is_closed = is_closed;
    replica_set_update(&scheduler->replicas, replica);
}

/* Closes the replica that runs a suspect, and opens all others. Returns whether there is one. */
static bool find_trial(struct scheduler *scheduler)
{
    bool found = false;
    for (struct replica *replica = scheduler->replicas.first; replica; replica = replica->next) {
        close_replica(scheduler, replica, replica->running.first && run_is_suspect(replica->running.first));
        found |= replica->is_closed;
    }
    return found;
}

/* NULL: no replica can run it. */
static struct replica *choose_replica(const struct scheduler *scheduler, const struct run *suspect)
{
    struct replica *chosen = NULL;
    int least = 0;
    for (struct replica *replica = scheduler->replicas.first; replica; replica = replica->next) {
        int n_losses = run_losses_on(suspect, replica->number);
        if (!replica_can_run(replica, suspect->length) || (chosen && n_losses > least))
            continue;
        if (!chosen || n_losses < least || replica->running.n < chosen->running.n)
            chosen = replica;
        least = n_losses;
    }
    return chosen;
}

void scheduler_try_suspect(struct scheduler *scheduler)
{
    if (!scheduler->n_suspects && !scheduler->has_trial)
        return;
    scheduler->has_trial = find_trial(scheduler);
    struct run *suspect = scheduler->has_trial || !scheduler->n_suspects ? NULL : next_suspect(scheduler);
    struct replica *replica = suspect ? choose_replica(scheduler, suspect) : NULL;
    if (!replica || (!replica->steps && other_waits(scheduler)))
        return;
    close_replica(scheduler, replica, true);
    scheduler->has_trial = true;
    if (!replica->running.n && replica_set_reserve_run(&scheduler->replicas, replica))
        scheduler_start_on(scheduler, suspect, replica);
}
