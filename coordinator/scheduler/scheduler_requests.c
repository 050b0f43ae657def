/* How requests come and end. */
#include "coordinator/scheduler/scheduler_state.h"

#include <math.h>

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

/* The only way in which a request ends. */
void scheduler_end_request(struct scheduler *scheduler, struct run *run, const struct ending *ending)
{
    scheduler->n_suspects -= run_is_suspect(run);
    run_list_remove(scheduler_list_of(scheduler, run), run);
    request_table_remove(&scheduler->requests, run);
    accounts_release(&scheduler->accounts, run->account, run->request.length);
    count_ending(scheduler, run, ending->status);
    scheduler_tell(scheduler,
                   (struct scheduler_event){.kind = EVENT_ENDED, .run = run, .status = ending->status});
    run->sink->ended(run->client, run, ending);
    run_free(run);
    if (!scheduler->requests.n)
        scheduler_note_change(scheduler);
}

void scheduler_fail_request(struct scheduler *scheduler, struct run *run, enum status status,
                            const char *reason)
{
    struct ending ending = {.status = status, .text = reason};
    scheduler_end_request(scheduler, run, &ending);
}

/* All have failed, and there were some. */
const struct replica *scheduler_last_hope_lost(const struct scheduler *scheduler)
{
    const struct replica *last = NULL;
    for (const struct replica *replica = scheduler->replicas.first; replica; replica = replica->next) {
        if (replica->state != REPLICA_FAILED && replica->state != REPLICA_DRAINED)
            return NULL;
        last = replica;
    }
    return last;
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
    scheduler_tell(scheduler,
                   (struct scheduler_event){
                       .kind = EVENT_REFUSED, .class = request->class, .refusal = refusal, .status = status});
}

static void enter_queue(struct scheduler *scheduler, struct run *run)
{
    run->accepted_at = clock_seconds();
    scheduler->totals.accepted++;
    queue_insert(&scheduler->queue, run);
    scheduler_tell(scheduler, (struct scheduler_event){.kind = EVENT_ACCEPTED, .run = run});
    run->sink->accepted(run->client, run);
    int64_t longest = replica_set_longest(&scheduler->replicas);
    if (longest >= 0 && run->request.length > longest)
        scheduler_fail_too_long(scheduler);
    else
        scheduler_dispatch(scheduler);
}

/* NULL without memory; the request is then still the caller's. */
static struct run *make_run(struct scheduler *scheduler, struct request *request,
                            const struct client_sink *sink, void *client)
{
    struct account *account = accounts_charge(&scheduler->accounts, request->terms.caller, request->length);
    struct run *run = account ? request_table_add(&scheduler->requests, request) : NULL;
    if (!run) {
        accounts_release(&scheduler->accounts, account, request->length);
        return NULL;
    }
    run->account = account;
    run->sink = sink;
    run->client = client;
    return run;
}

enum status scheduler_accept(struct scheduler *scheduler, struct request *request,
                             const struct client_sink *sink, void *client, uint64_t *number,
                             struct error *error)
{
    enum refusal refusal;
    pthread_mutex_lock(&scheduler->mutex);
    enum status status = scheduler_admit(scheduler, request, &refusal, error);
    struct run *run = status == STATUS_OK ? make_run(scheduler, request, sink, client) : NULL;
    if (status == STATUS_OK && !run) {
        refusal = REFUSED_MEMORY;
        status = error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the request; try again later");
    }
    if (run) {
        *number = run->number;
        enter_queue(scheduler, run);
    } else {
        refuse(scheduler, request, refusal, status);
    }
    pthread_mutex_unlock(&scheduler->mutex);
    return status;
}

void scheduler_cancel(struct scheduler *scheduler, uint64_t number)
{
    pthread_mutex_lock(&scheduler->mutex);
    struct run *run = request_table_find(&scheduler->requests, number);
    if (run) {
        struct replica *replica = run->replica;
        if (replica)
            replica->operations->cancel(replica->connection, run->ticket);
        scheduler_fail_request(scheduler, run, STATUS_CANCELLED, "the client is gone");
        scheduler_dispatch(scheduler);
    }
    pthread_mutex_unlock(&scheduler->mutex);
}
