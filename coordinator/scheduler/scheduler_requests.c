/* How requests come and end. */
#include "coordinator/scheduler/scheduler_state.h"

#include <math.h>

#include "common/clock.h"
#include "coordinator/scheduler/snapshot.h"

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

/* Tells the replicas where its runs are that they are not wanted any more. */
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

/* All have failed, and there were some. */
const struct replica *scheduler_last_hope_lost(const struct scheduler *scheduler)
{
    const struct replica_set *replicas = &scheduler->replicas;
    int n_lost = replicas->n_in_state[REPLICA_FAILED] + replicas->n_in_state[REPLICA_DRAINED];
    return n_lost == replicas->n ? replicas->last : NULL;
}

enum status scheduler_no_replica_error(const struct replica *failed, struct error *error)
{
    return error_set(error, STATUS_UNAVAILABLE, "no replica can run the model: %s: %s", failed->name,
                     failed->last_error);
}

/* Those who wait are told when there is nobody left to wait for. */
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

static void refuse(struct scheduler *scheduler, const struct request *request, enum refusal refusal,
                   enum status status)
{
    scheduler->totals.refused[refusal]++;
    scheduler_tell(scheduler, (struct scheduler_event){.kind = EVENT_REFUSED,
                                                       .class = request->terms.class,
                                                       .refusal = refusal,
                                                       .status = status});
}

/* Would a decision look at a request that has just come in? Else it changes nothing. */
static bool is_looked_at(const struct scheduler *scheduler, const struct request *request)
{
    int n_before = scheduler->queue.by_class[request->terms.class].n - request->n_runs;
    return n_before < SNAPSHOT_WINDOW + scheduler->n_suspects;
}

static void enter_queue(struct scheduler *scheduler, struct request *request)
{
    int64_t longest = replica_set_longest(&scheduler->replicas);
    bool fits = true;
    for (int i = 0; i < request->n_runs; i++) {
        struct run *run = &request->runs[i];
        run->accepted_at = clock_seconds();
        run_table_add(&scheduler->runs, run);
        queue_insert(&scheduler->queue, run);
        fits = fits && (longest < 0 || run->length <= longest);
    }
    scheduler->n_requests++;
    scheduler->totals.accepted++;
    scheduler_tell(scheduler, (struct scheduler_event){.kind = EVENT_ACCEPTED, .run = request->runs});
    delivery_accept(&scheduler->claimed, request);
    if (!fits)
        scheduler_fail_too_long(scheduler);
    else if (is_looked_at(scheduler, request))
        scheduler_dispatch(scheduler);
}

static enum status book(struct scheduler *scheduler, struct request *request, enum refusal *refusal,
                        struct error *error)
{
    request->account =
        accounts_charge(&scheduler->accounts, request->terms.caller, request_positions(request));
    if (request->account)
        return STATUS_OK;
    *refusal = REFUSED_MEMORY;
    return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the request; try again later");
}

/* Without the lock: its id, and memory for what its client is told first. */
static enum status prepare(struct scheduler *scheduler, struct request *request, enum refusal *refusal,
                           struct error *error)
{
    *refusal = REFUSED_MEMORY;
    enum status status = request_id_draw(&scheduler->ids, &request->id, error);
    if (status != STATUS_OK)
        return status;
    request->delivery = delivery_create(request);
    if (request->delivery)
        return STATUS_OK;
    return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the request; try again later");
}

static enum status take_in(struct scheduler *scheduler, struct request *request, enum refusal *refusal,
                           struct error *error)
{
    enum status status = scheduler_admit(scheduler, request, refusal, error);
    if (status != STATUS_OK && scheduler->is_undecided) { /* what waits may be about to start */
        scheduler_decide(scheduler);
        status = scheduler_admit(scheduler, request, refusal, error);
    }
    if (status == STATUS_OK)
        status = scheduler_estimate(scheduler, request, refusal, error);
    if (status == STATUS_OK)
        status = book(scheduler, request, refusal, error);
    return status;
}

enum status scheduler_accept(struct scheduler *scheduler, struct request *request,
                             const struct request_sink *sink, void *sink_context, uint64_t *number,
                             struct error *error)
{
    enum refusal refusal;
    request->sink = sink;
    request->sink_context = sink_context;
    enum status status = prepare(scheduler, request, &refusal, error);
    scheduler_lock(scheduler);
    if (status == STATUS_OK)
        status = take_in(scheduler, request, &refusal, error);
    if (status == STATUS_OK) {
        *number = scheduler->runs.last_number + 1;
        enter_queue(scheduler, request);
    } else {
        refuse(scheduler, request, refusal, status);
        delivery_free(request->delivery);
        request->delivery = NULL;
    }
    scheduler_unlock(scheduler);
    return status;
}

void scheduler_cancel(struct scheduler *scheduler, uint64_t number)
{
    scheduler_lock(scheduler);
    struct run *run = run_table_find(&scheduler->runs, number);
    if (run) {
        scheduler_fail_request(scheduler, run, STATUS_CANCELLED, "the client is gone");
        scheduler_dispatch(scheduler);
    }
    scheduler_unlock(scheduler);
}
