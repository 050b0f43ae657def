/* Which replicas live: how they report progress, and how long they may be silent. */
#include "coordinator/scheduler/scheduler_state.h"

#include <math.h>
#include <stdio.h>

#include "common/clock.h"
#include "common/log.h"

#define PULSE_SECONDS 1.0   /* between two pulses; so exactly we know the time of progress */
#define ABSENCE_SECONDS 2.0 /* with so long between two checks, this program was stopped */

void scheduler_heard(struct scheduler *scheduler, void *connection)
{
    scheduler_lock(scheduler);
    struct replica *replica = scheduler_replica_of_connection(scheduler, connection);
    if (replica)
        replica->heard_at = clock_seconds();
    scheduler_unlock(scheduler);
}

void scheduler_pulse(struct scheduler *scheduler, void *connection, const struct replica_pulse *pulse)
{
    scheduler_lock(scheduler);
    struct replica *replica = scheduler_replica_of_connection(scheduler, connection);
    if (replica) {
        if (!replica->pulses || pulse->progress != replica->pulse.progress)
            replica->progressed_at = clock_seconds();
        replica->pulses = true;
        replica->pulse = *pulse;
    }
    scheduler_unlock(scheduler);
}

bool scheduler_take_stuck(struct scheduler *scheduler, const char *name)
{
    scheduler_lock(scheduler);
    struct replica *replica = replica_set_find(&scheduler->replicas, name);
    bool is_stuck = replica && replica->is_stuck;
    if (is_stuck)
        replica->is_stuck = false;
    scheduler_unlock(scheduler);
    return is_stuck;
}

bool scheduler_is_attached(struct scheduler *scheduler, const char *name)
{
    scheduler_lock(scheduler);
    const struct replica *replica = replica_set_find(&scheduler->replicas, name);
    bool is_attached = replica && replica->operations;
    scheduler_unlock(scheduler);
    return is_attached;
}

double scheduler_silent_until(const struct replica *replica, double silence_seconds)
{
    if (!replica->pulses)
        return replica->running.n ? replica->heard_at + SCHEDULER_PATIENCE * silence_seconds : INFINITY;
    bool loads =
        replica->state == REPLICA_STARTING || replica->state == REPLICA_FAILED; /* failed: loads again */
    if (loads)
        return replica->progressed_at + PULSE_SECONDS + SCHEDULER_PATIENCE * silence_seconds;
    return replica->progressed_at + PULSE_SECONDS + silence_seconds;
}

/* Hangs up, and does not wait for the end of the connection: the network may swallow everything. */
static void give_up_hung(struct scheduler *scheduler, struct replica *replica, double now)
{
    char reason[128];
    snprintf(reason, sizeof reason, "it hangs: nothing moved there for %.1f s",
             now - (replica->pulses ? replica->progressed_at : replica->heard_at));
    log_error("replica %s: %s: hanging up", replica->name, reason);
    replica->operations->hang_up(replica->connection, STATUS_DEADLINE_EXCEEDED, reason);
    replica->is_stuck = replica->supervised;
    scheduler_lose_connection(scheduler, replica, false, reason);
}

static void excuse(struct scheduler *scheduler, double seconds)
{
    for (struct replica *replica = scheduler->replicas.first; replica; replica = replica->next) {
        replica->heard_at += seconds;
        replica->progressed_at += seconds;
        replica->lost_at += seconds;
    }
}

static double since_last_check(struct scheduler *scheduler, double now)
{
    double seconds = scheduler->checked_at ? now - scheduler->checked_at : 0;
    scheduler->checked_at = now;
    return seconds;
}

/* When something stopped this program (a debugger, a paused container), the replicas went on. We have yet to
 * read what they said meanwhile. So the time of the stop does not count as their silence. */
static void excuse_absence(struct scheduler *scheduler, double now)
{
    double absent = since_last_check(scheduler, now);
    if (absent < ABSENCE_SECONDS)
        return;
    log_warning("this program did not run for %.0f s; no replica is blamed for them", absent);
    excuse(scheduler, absent);
}

void scheduler_excuse_silence(struct scheduler *scheduler)
{
    scheduler_lock(scheduler);
    excuse(scheduler, since_last_check(scheduler, clock_seconds()));
    scheduler_unlock(scheduler);
}

void scheduler_check_silence(struct scheduler *scheduler)
{
    double now = clock_seconds();
    scheduler_lock(scheduler);
    excuse_absence(scheduler, now);
    for (struct replica *replica = scheduler->replicas.first, *next; replica; replica = next) {
        next = replica->next;
        if (replica->operations && now >= scheduler_silent_until(replica, scheduler->options.silence_seconds))
            give_up_hung(scheduler, replica, now);
    }
    scheduler_forget_long_lost(scheduler, now);
    scheduler_unlock(scheduler);
}
