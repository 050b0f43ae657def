/* A run's way from the queue to a replica and back, whatever the reason. */
#include "coordinator/scheduler/scheduler_state.h"

#include "common/clock.h"
#include "common/ticket.h"

/* A run that loses more replicas than this, without a step in between, is the cause. */
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

void scheduler_put_back_all(struct scheduler *scheduler, struct replica *replica, const char *loss)
{
    struct run *run;
    while ((run = replica->running.last)) {
        scheduler_put_back(scheduler, run, loss ? EVENT_LOST : EVENT_MOVED);
        if (!loss)
            continue;
        run->n_losses++;
        scheduler->n_suspects += run->n_losses == SUSPECT_LOSSES;
        if (run->n_losses > MAX_LOSSES)
            fail_as_cause(scheduler, run, replica->name, loss);
    }
}
