/* Which request runs on which replica. */
#include "coordinator/scheduler_state.h"

#include "common/clock.h"

/* replicas that one request may lose without a step in between: then it is the cause */
enum { MAX_LOSSES = 5 };

static void start_on(struct scheduler *scheduler, struct sequence *sequence, struct replica *replica)
{
    sequence_list_remove(&scheduler->queue, sequence);
    sequence->replica = replica;
    sequence_list_append(&replica->running, sequence);
    bool again = sequence->began_at > 0;
    if (!again)
        sequence->began_at = clock_seconds();
    if (replica->running.n == 1)
        replica->heard_at = clock_seconds(); /* its silence counts from here */
    replica->operations->submit(replica->line, sequence);
    scheduler_tell(scheduler,
                   (struct scheduler_event){.kind = EVENT_STARTED, .sequence = sequence, .again = again});
}

static void fail_too_long(struct scheduler *scheduler, struct sequence *sequence, int64_t longest)
{
    struct error error;
    error_set(&error, STATUS_INVALID_ARGUMENT,
              "length: %d positions; the replicas run at most %lld at a time", sequence->request.length,
              (long long)longest);
    scheduler_fail_request(scheduler, sequence, error.status, error.text);
}

/* Hands out what waits, in order, as far as there is room. */
void scheduler_dispatch(struct scheduler *scheduler)
{
    struct sequence *sequence;
    while ((sequence = scheduler->queue.first)) {
        int64_t longest = replica_set_longest(&scheduler->replicas);
        struct replica *replica = replica_set_choose(&scheduler->replicas, sequence->request.length);
        if (replica)
            start_on(scheduler, sequence, replica);
        else if (longest >= 0 && sequence->request.length > longest)
            fail_too_long(scheduler, sequence, longest);
        else
            return;
    }
}

static void count_return(struct scheduler_totals *totals, enum scheduler_event_kind why)
{
    totals->preempted += why == EVENT_PREEMPTED;
    totals->moved += why == EVENT_MOVED;
    totals->lost += why == EVENT_LOST;
}

void scheduler_put_back(struct scheduler *scheduler, struct sequence *sequence, enum scheduler_event_kind why)
{
    const struct replica *replica = sequence->replica;
    sequence_list_remove(&sequence->replica->running, sequence);
    sequence->replica = NULL;
    sequence_list_prepend(&scheduler->queue, sequence);
    count_return(&scheduler->totals, why);
    scheduler_tell(scheduler,
                   (struct scheduler_event){.kind = why, .sequence = sequence, .replica = replica});
}

void scheduler_put_back_all(struct scheduler *scheduler, struct replica *replica, bool is_loss)
{
    struct sequence *sequence;
    while ((sequence = replica->running.last)) { /* from the last, so that the order stays */
        scheduler_put_back(scheduler, sequence, is_loss ? EVENT_LOST : EVENT_MOVED);
        sequence->n_losses += is_loss;
        if (sequence->n_losses > MAX_LOSSES)
            scheduler_fail_request(scheduler, sequence, STATUS_INTERNAL,
                                   "replicas were lost again and again while they ran this request");
    }
}
