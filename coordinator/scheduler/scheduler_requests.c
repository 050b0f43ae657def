/* How requests come, and how their clients end them. */
#include "coordinator/scheduler/scheduler_state.h"

#include "common/clock.h"
#include "coordinator/scheduler/snapshot.h"

static void refuse(struct scheduler *scheduler, const struct request *request, enum refusal refusal,
                   enum status status)
{
    scheduler->totals.refused[refusal]++;
    scheduler_tell(scheduler, (struct scheduler_event){.kind = EVENT_REFUSED,
                                                       .class = request->terms.class,
                                                       .refusal = refusal,
                                                       .status = status});
}

/* Would a decision look at this new request? If not, a decision would change nothing. */
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

/* Before the lock is taken: draws the request's id, and allocates the first events for its client. */
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
    if (status != STATUS_OK && scheduler->is_undecided) { /* waiting runs may be about to start */
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
