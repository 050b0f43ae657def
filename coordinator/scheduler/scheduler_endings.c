/* How requests end, and when those that wait fail because no replica is left. */
#include "coordinator/scheduler/scheduler_state.h"

#include "common/clock.h"

static void count_ending(struct scheduler *scheduler, const struct run *run, enum status status)
{
    if (status == STATUS_CANCELLED) {
        scheduler->totals.cancelled++;
    } else if (status != STATUS_OK) {
        scheduler->totals.failed++;
    } else {
        double seconds = clock_seconds() - run->began_at, mean = scheduler->mean_run_seconds;
        scheduler->totals.finished++;
        scheduler->mean_run_seconds = mean > 0 ? 0.9 * mean + 0.1 * seconds : seconds;
    }
}

void scheduler_take_off(struct scheduler *scheduler, struct run *run)
{
    if (run->replica)
        replica_set_remove_run(&scheduler->replicas, run->replica, run);
    else
        run_list_remove(run);
    run->replica = NULL;
}

/* Tells replicas to drop the request's runs, and takes the runs out of the table and the lists. */
static void drop_runs(struct scheduler *scheduler, struct request *request)
{
    for (int i = 0; i < request->n_runs; i++) {
        struct run *run = &request->runs[i];
        if (run->replica)
            run->replica->operations->cancel(run->replica->connection, run->ticket);
        scheduler_take_off(scheduler, run);
        run_table_remove(&scheduler->runs, run);
        scheduler->n_suspects -= run_is_suspect(run);
    }
}

void scheduler_end_request(struct scheduler *scheduler, const struct run *run, const struct ending *ending)
{
    struct request *request = run->request;
    drop_runs(scheduler, request);
    accounts_release(&scheduler->accounts, request->account, request_positions(request));
    count_ending(scheduler, run, ending->status);
    scheduler_tell(scheduler,
                   (struct scheduler_event){.kind = EVENT_ENDED, .run = run, .status = ending->status});
    delivery_end(&scheduler->claimed, run, ending);
}

void scheduler_fail_request(struct scheduler *scheduler, const struct run *run, enum status status,
                            const char *reason)
{
    const struct ending ending = {.status = status, .text = reason};
    scheduler_end_request(scheduler, run, &ending);
}

const struct replica *scheduler_last_hope_lost(const struct scheduler *scheduler)
{
    const struct replica_set *replicas = &scheduler->replicas;
    const struct replica *last = NULL, *replica = replicas->first;
    int n_lost = replicas->n_in_state[REPLICA_FAILED] + replicas->n_in_state[REPLICA_DRAINED];
    for (; replica && n_lost == replicas->n; replica = replica->next)
        last = replica->is_refused ? last : replica;
    return last;
}

enum status scheduler_no_replica_error(const struct replica *failed, struct error *error)
{
    return error_set(error, STATUS_UNAVAILABLE, "no replica can run the model: %s: %s", failed->name,
                     failed->last_error);
}

void scheduler_fail_without_hope(struct scheduler *scheduler)
{
    const struct replica *failed = scheduler_last_hope_lost(scheduler);
    struct error error;
    if (!failed)
        return;
    scheduler_no_replica_error(failed, &error);
    struct run *waiting;
    while ((waiting = queue_first(&scheduler->queue)))
        scheduler_fail_request(scheduler, waiting, error.status, error.text);
}
