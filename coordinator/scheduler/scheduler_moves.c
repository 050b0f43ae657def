/* A run's way from the queue to a replica and back, whatever the reason. */
#include "coordinator/scheduler/scheduler_state.h"

#include "common/clock.h"
#include "common/ticket.h"

/* A run that loses more replicas than this, without a step in between, is the cause. While a ready replica
 * has not run it, it may lose twice as many: those may all have been one replica, which is then the cause. */
enum { MAX_LOSSES = 5 };

void scheduler_start_on(struct scheduler *scheduler, struct run *run, struct replica *replica)
{
    run_list_remove(run);
    replica_set_add_run(&scheduler->replicas, replica, run);
    if (run->former_connection)
        run->ticket = ticket_next(run->ticket);
    run->former_connection = NULL;
    if (replica->running.n == 1)
        replica->heard_at = clock_seconds(); /* its silence counts from now on */
    replica->operations->submit(replica->connection, run);
    scheduler_tell(scheduler,
                   (struct scheduler_event){.kind = EVENT_STARTED, .run = run, .again = run->n_starts > 0});
    run->n_starts++;
}

static void count_return(struct scheduler_totals *totals, enum scheduler_event_kind why)
{
    totals->preempted += why == EVENT_PREEMPTED;
    totals->moved += why == EVENT_MOVED;
    totals->lost += why == EVENT_LOST;
}

void scheduler_put_back(struct scheduler *scheduler, struct run *run, enum scheduler_event_kind why)
{
    struct replica *replica = run->replica;
    replica_set_remove_run(&scheduler->replicas, replica, run);
    run->former_connection = why == EVENT_LOST ? NULL : replica->connection;
    run->replica = NULL;
    queue_insert(&scheduler->queue, run);
    count_return(&scheduler->totals, why);
    scheduler_tell(scheduler, (struct scheduler_event){.kind = why, .run = run, .replica = replica});
}

static void fail_as_cause(struct scheduler *scheduler, struct run *run, const char *replica, const char *loss)
{
    struct error error;
    error_set(&error, STATUS_INTERNAL,
              "%d replicas in a row were lost while they ran this request; the last was %s: %s",
              run->n_losses, replica, loss);
    scheduler_fail_request(scheduler, run, error.status, error.text);
}

static bool has_untried(const struct scheduler *scheduler, const struct run *run)
{
    for (const struct replica *replica = scheduler->replicas.first; replica; replica = replica->next) {
        if (replica_can_run(replica, run->length) && !run_losses_on(run, replica->number))
            return true;
    }
    return false;
}

static bool is_cause(const struct scheduler *scheduler, const struct run *run)
{
    int most = run->n_losses > MAX_LOSSES && has_untried(scheduler, run) ? 2 * MAX_LOSSES : MAX_LOSSES;
    return run->n_losses > most;
}

void scheduler_put_back_all(struct scheduler *scheduler, struct replica *replica, const char *loss)
{
    struct run *run;
    while ((run = replica->running.last)) {
        scheduler_put_back(scheduler, run, loss ? EVENT_LOST : EVENT_MOVED);
        if (!loss)
            continue;
        run_count_loss(run, replica->number);
        scheduler->n_suspects += run->n_losses == SUSPECT_LOSSES;
        if (is_cause(scheduler, run))
            fail_as_cause(scheduler, run, replica->name, loss);
    }
}
