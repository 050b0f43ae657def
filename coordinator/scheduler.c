/*
 * The coordinator's centre: which request runs where.
 *
 * What. A request is a row of ids that some replica refines step by step. It is accepted, waits in one FIFO
 * queue, runs on one replica, and ends exactly once. Replicas come and go; the last frame of a request is all
 * its state, so a request whose replica is lost goes back to the front of the queue and goes on elsewhere
 * from the step it had reached.
 *
 *   accepted        → queued     [scheduler_accept]  the client has its Accepted and the starting frame
 *   queued          → running    [dispatch]          submitted to the replica with room that runs the fewest tokens
 *   running         → running    [scheduler_report]  one step further, one frame for the client
 *   running         → queued     [put_back]          its replica is gone, or drains; to the front
 *   running         → finished   [scheduler_report]  the last step
 *   queued, running → cancelled  [scheduler_cancel]  the client is gone
 *   queued, running → failed     [end_request]       rejected, no replica is left, too many losses, shut down
 *
 * Strictly first come, first served: while the first does not fit on any replica nobody overtakes it, so none
 * starves.
 *
 * Threads. The server's thread (clients and replicas) and the main thread (supervision, signals) call in.
 * Lock rule: one mutex guards everything here, sequences, replicas and lists included; the callbacks
 * (client_sink, replica_line, changed) run under it and only queue messages. Nothing is held across a wait.
 *
 * Numbers. A request's number is never used again and a sequence is looked up on the replica it runs on, so a
 * late report of a cancelled or moved request finds nothing and is dropped.
 */
#include "coordinator/scheduler.h"
#include "common/clock.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "coordinator/request_table.h"

enum {
    MAX_LOSSES = 5, /* replicas that one request may lose without a step in between: then it is the cause */
    MAX_REPLICAS = 1024, /* names that outsiders may make us remember */
};

struct scheduler {
    struct scheduler_options options;
    pthread_mutex_t mutex;
    struct request_table requests;
    struct sequence_list queue;
    struct replica_set replicas;
    int n_replicas;
    bool refusing;
    double mean_run_seconds; /* of finished requests, recent ones weigh more; 0: none yet */
    uint64_t accepted, finished, cancelled, failed;
};

struct scheduler *scheduler_create(const struct scheduler_options *options)
{
    struct scheduler *scheduler = calloc(1, sizeof *scheduler);
    if (!scheduler)
        return NULL;
    scheduler->options = *options;
    pthread_mutex_init(&scheduler->mutex, NULL);
    return scheduler;
}

void scheduler_free(struct scheduler *scheduler)
{
    if (!scheduler)
        return;
    replica_set_free(&scheduler->replicas);
    pthread_mutex_destroy(&scheduler->mutex);
    free(scheduler);
}

/* ---- all below until "clients" is called with the lock held ---- */

static void note_change(struct scheduler *scheduler)
{
    if (scheduler->options.changed)
        scheduler->options.changed(scheduler->options.context);
}

static struct sequence_list *list_of(struct scheduler *scheduler, struct sequence *sequence)
{
    return sequence->replica ? &sequence->replica->running : &scheduler->queue;
}

static void count_ending(struct scheduler *scheduler, const struct sequence *sequence, enum status status)
{
    if (status == STATUS_CANCELLED) {
        scheduler->cancelled++;
    } else if (status != STATUS_OK) {
        scheduler->failed++;
    } else {
        double seconds = clock_seconds() - sequence->began_at, mean = scheduler->mean_run_seconds;
        scheduler->finished++;
        scheduler->mean_run_seconds = mean > 0 ? 0.9 * mean + 0.1 * seconds : seconds;
    }
}

/* The only way in which a request ends. */
static void end_request(struct scheduler *scheduler, struct sequence *sequence, const struct ending *ending)
{
    sequence_list_remove(list_of(scheduler, sequence), sequence);
    request_table_remove(&scheduler->requests, sequence);
    count_ending(scheduler, sequence, ending->status);
    sequence->sink->ended(sequence->client, sequence, ending);
    sequence_free(sequence);
    if (!scheduler->requests.n)
        note_change(scheduler);
}

static void fail_request(struct scheduler *scheduler, struct sequence *sequence, enum status status,
                         const char *reason)
{
    struct ending ending = {.status = status, .text = reason};
    end_request(scheduler, sequence, &ending);
}

/* All have failed, and there were some. */
static const struct replica *last_hope_lost(const struct scheduler *scheduler)
{
    const struct replica *last = NULL;
    for (const struct replica *replica = scheduler->replicas.first; replica; replica = replica->next) {
        if (replica->state != REPLICA_FAILED)
            return NULL;
        last = replica;
    }
    return last;
}

static enum status no_replica_error(const struct replica *failed, struct error *error)
{
    return error_set(error, STATUS_UNAVAILABLE, "no replica can run the model: %s: %s", failed->name,
                     failed->last_error);
}

/* Those who wait are told when there is nobody left to wait for. */
static void fail_without_hope(struct scheduler *scheduler)
{
    const struct replica *failed = last_hope_lost(scheduler);
    struct error error;
    if (!failed)
        return;
    no_replica_error(failed, &error);
    while (scheduler->queue.first)
        fail_request(scheduler, scheduler->queue.first, error.status, error.text);
}

static void start_on(struct scheduler *scheduler, struct sequence *sequence, struct replica *replica)
{
    sequence_list_remove(&scheduler->queue, sequence);
    sequence->replica = replica;
    sequence_list_append(&replica->running, sequence);
    if (!sequence->began_at)
        sequence->began_at = clock_seconds();
    if (replica->running.n == 1)
        replica->heard_at = clock_seconds(); /* its silence counts from here */
    replica->operations->submit(replica->line, sequence);
}

static void fail_too_long(struct scheduler *scheduler, struct sequence *sequence, int64_t longest)
{
    struct error error;
    error_set(&error, STATUS_INVALID_ARGUMENT,
              "length: %d positions; the replicas run at most %lld at a time", sequence->request.length,
              (long long)longest);
    fail_request(scheduler, sequence, error.status, error.text);
}

/* Hands out what waits, in order, as far as there is room. */
static void dispatch(struct scheduler *scheduler)
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

/* Back to the front of the queue, as it was after its last step. */
static void put_back(struct scheduler *scheduler, struct sequence *sequence)
{
    sequence_list_remove(&sequence->replica->running, sequence);
    sequence->replica = NULL;
    sequence_list_prepend(&scheduler->queue, sequence);
}

static void put_back_all(struct scheduler *scheduler, struct replica *replica, bool is_loss)
{
    struct sequence *sequence;
    while ((sequence = replica->running.last)) { /* from the last, so that the order stays */
        put_back(scheduler, sequence);
        sequence->n_losses += is_loss;
        if (sequence->n_losses > MAX_LOSSES)
            fail_request(scheduler, sequence, STATUS_INTERNAL,
                         "replicas were lost again and again while they ran this request");
    }
}

static struct replica *replica_of_line(const struct scheduler *scheduler, const void *line)
{
    struct replica *replica = scheduler->replicas.first;
    while (replica && replica->line != line)
        replica = replica->next;
    return replica;
}

/* A sequence that runs on that very replica. */
static struct sequence *running_on(const struct scheduler *scheduler, const struct replica *replica,
                                   uint64_t number)
{
    struct sequence *sequence = request_table_find(&scheduler->requests, number);
    return sequence && sequence->replica == replica ? sequence : NULL;
}

static void set_error(struct replica *replica, const char *reason)
{
    snprintf(replica->last_error, sizeof replica->last_error, "%s", reason);
}

static void set_failed(struct scheduler *scheduler, struct replica *replica, const char *reason)
{
    replica->state = REPLICA_FAILED;
    set_error(replica, reason);
    log_error("replica %s failed: %s", replica->name, reason);
    put_back_all(scheduler, replica, true);
    dispatch(scheduler);
    fail_without_hope(scheduler);
    note_change(scheduler);
}

/* ---- clients ---- */

static enum status refuse_full(const struct scheduler *scheduler, struct error *error)
{
    double hint = fmin(fmax(ceil(scheduler->mean_run_seconds), 1), 60);
    return error_set(error, STATUS_RESOURCE_EXHAUSTED,
                     "the queue is full: %d requests wait (--max-queue %d); try again in about %.0f s",
                     scheduler->queue.n, scheduler->options.max_queue, hint);
}

static enum status check_admission(const struct scheduler *scheduler, const struct request *request,
                                   struct error *error)
{
    const struct replica *failed = last_hope_lost(scheduler);
    if (scheduler->refusing)
        return error_set(error, STATUS_UNAVAILABLE,
                         "the coordinator is shutting down; try another, or again later");
    if (failed)
        return no_replica_error(failed, error);
    bool starts_now = !scheduler->queue.n && replica_set_choose(&scheduler->replicas, request->length);
    if (!starts_now && scheduler->queue.n >= scheduler->options.max_queue)
        return refuse_full(scheduler, error);
    return STATUS_OK;
}

enum status scheduler_accept(struct scheduler *scheduler, struct request *request,
                             const struct client_sink *sink, void *client, uint64_t *number,
                             struct error *error)
{
    pthread_mutex_lock(&scheduler->mutex);
    enum status status = check_admission(scheduler, request, error);
    struct sequence *sequence = status == STATUS_OK ? request_table_add(&scheduler->requests, request) : NULL;
    if (sequence) {
        sequence->sink = sink;
        sequence->client = client;
        sequence->accepted_at = clock_seconds();
        *number = sequence->number;
        scheduler->accepted++;
        sequence_list_append(&scheduler->queue, sequence);
        sink->accepted(client, sequence);
        dispatch(scheduler);
    } else if (status == STATUS_OK) {
        status = error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the request; try again later");
    }
    pthread_mutex_unlock(&scheduler->mutex);
    return status;
}

void scheduler_cancel(struct scheduler *scheduler, uint64_t number)
{
    pthread_mutex_lock(&scheduler->mutex);
    struct sequence *sequence = request_table_find(&scheduler->requests, number);
    if (sequence) {
        struct replica *replica = sequence->replica;
        if (replica)
            replica->operations->cancel(replica->line, number);
        fail_request(scheduler, sequence, STATUS_CANCELLED, "the client is gone");
        dispatch(scheduler);
    }
    pthread_mutex_unlock(&scheduler->mutex);
}

/* ---- replicas ---- */

static enum status check_hello(const struct scheduler *scheduler, const struct replica_hello *hello,
                               struct error *error)
{
    if (!replica_name_is_valid(hello->name))
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "hello.replica: \"%.80s\" is no name: 1 to %d letters, digits, '.', '_' or '-'",
                         hello->name, REPLICA_NAME_MAX);
    const struct replica *known = replica_set_find(&scheduler->replicas, hello->name);
    if (known && known->operations)
        return error_set(error, STATUS_ALREADY_EXISTS, "hello.replica: a replica \"%s\" is attached already",
                         hello->name);
    if (!known && scheduler->n_replicas >= MAX_REPLICAS)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "%d replicas are known; no more fit",
                         scheduler->n_replicas);
    return STATUS_OK;
}

/* The replica of that name, new or known. NULL without memory. */
static struct replica *get_replica(struct scheduler *scheduler, const char *name)
{
    bool known = replica_set_find(&scheduler->replicas, name);
    struct replica *replica = replica_set_get(&scheduler->replicas, name);
    scheduler->n_replicas += replica && !known;
    return replica;
}

static void connect_line(struct replica *replica, const struct replica_hello *hello,
                         const struct replica_line *operations, void *line)
{
    replica->operations = operations;
    replica->line = line;
    replica->n_ranks = hello->n_ranks;
    snprintf(replica->backend, sizeof replica->backend, "%s", hello->backend);
    replica->steps = 0;
    replica->heard_at = clock_seconds();
    replica->restarts += replica->was_attached;
    replica->was_attached = true;
}

enum status scheduler_attach(struct scheduler *scheduler, const struct replica_hello *hello,
                             const struct replica_line *operations, void *line, struct error *error)
{
    pthread_mutex_lock(&scheduler->mutex);
    enum status status = check_hello(scheduler, hello, error);
    struct replica *replica = status == STATUS_OK ? get_replica(scheduler, hello->name) : NULL;
    if (replica)
        connect_line(replica, hello, operations, line);
    else if (status == STATUS_OK)
        status = error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for another replica");
    pthread_mutex_unlock(&scheduler->mutex);
    return status;
}

void scheduler_ready(struct scheduler *scheduler, void *line, int max_sequences, int64_t max_batch_tokens)
{
    pthread_mutex_lock(&scheduler->mutex);
    struct replica *replica = replica_of_line(scheduler, line);
    if (replica) {
        replica->state = REPLICA_READY;
        replica->was_ready = true;
        replica->max_sequences = max_sequences;
        replica->max_batch_tokens = max_batch_tokens;
        log_info("replica %s is ready: %s, %u ranks, %d sequences, %lld tokens at a time", replica->name,
                 replica->backend, replica->n_ranks, max_sequences, (long long)max_batch_tokens);
        dispatch(scheduler);
        note_change(scheduler);
    }
    pthread_mutex_unlock(&scheduler->mutex);
}

void scheduler_load_failed(struct scheduler *scheduler, void *line, const char *reason)
{
    pthread_mutex_lock(&scheduler->mutex);
    struct replica *replica = replica_of_line(scheduler, line);
    if (replica)
        set_failed(scheduler, replica, reason);
    pthread_mutex_unlock(&scheduler->mutex);
}

static void finish_request(struct scheduler *scheduler, struct sequence *sequence)
{
    struct ending ending = {
        .status = STATUS_OK, .replica = sequence->replica->name, .n_ranks = sequence->replica->n_ranks};
    end_request(scheduler, sequence, &ending);
    dispatch(scheduler);
}

static enum status advance(struct scheduler *scheduler, struct replica *replica, struct sequence *sequence,
                           const struct step_report *report, struct error *error)
{
    enum status status = sequence_advance(sequence, report, scheduler->options.n_ids, error);
    if (status != STATUS_OK)
        return status;
    replica->steps++;
    if (!sequence->first_frame_at)
        sequence->first_frame_at = clock_seconds();
    sequence->sink->frame(sequence->client, sequence, report->positions, report->ids, report->n_changed);
    if (report->done)
        finish_request(scheduler, sequence);
    return STATUS_OK;
}

enum status scheduler_report(struct scheduler *scheduler, void *line, const struct step_report *report,
                             struct error *error)
{
    enum status status = STATUS_OK;
    pthread_mutex_lock(&scheduler->mutex);
    struct replica *replica = replica_of_line(scheduler, line);
    struct sequence *sequence = replica ? running_on(scheduler, replica, report->number) : NULL;
    if (sequence)
        status = advance(scheduler, replica, sequence, report, error);
    pthread_mutex_unlock(&scheduler->mutex);
    return status;
}

/* A replica that refuses because it is leaving gets no more; its answer is no fault of the request. */
static void reject(struct scheduler *scheduler, struct replica *replica, struct sequence *sequence,
                   enum status status, const char *reason)
{
    if (status != STATUS_UNAVAILABLE) {
        fail_request(scheduler, sequence, status, reason);
        return;
    }
    replica->state = REPLICA_DRAINING;
    put_back(scheduler, sequence);
    note_change(scheduler);
}

void scheduler_rejected(struct scheduler *scheduler, void *line, uint64_t number, enum status status,
                        const char *reason)
{
    pthread_mutex_lock(&scheduler->mutex);
    struct replica *replica = replica_of_line(scheduler, line);
    struct sequence *sequence = replica ? running_on(scheduler, replica, number) : NULL;
    if (sequence) {
        reject(scheduler, replica, sequence, status == STATUS_OK ? STATUS_INTERNAL : status, reason);
        dispatch(scheduler);
    }
    pthread_mutex_unlock(&scheduler->mutex);
}

void scheduler_heard(struct scheduler *scheduler, void *line)
{
    pthread_mutex_lock(&scheduler->mutex);
    struct replica *replica = replica_of_line(scheduler, line);
    if (replica)
        replica->heard_at = clock_seconds();
    pthread_mutex_unlock(&scheduler->mutex);
}

/* An outsider that said goodbye is forgotten; one that was lost, or that we start ourselves, is expected
 * back. */
static void forget_or_expect(struct scheduler *scheduler, struct replica *replica, bool clean,
                             const char *reason)
{
    if (clean && !replica->supervised && replica->state != REPLICA_FAILED) {
        replica_set_remove(&scheduler->replicas, replica);
        scheduler->n_replicas--;
        return;
    }
    if (replica->state == REPLICA_FAILED)
        return;
    replica->state = REPLICA_STARTING;
    if (!clean)
        set_error(replica, reason);
}

void scheduler_detach(struct scheduler *scheduler, void *line, bool clean, const char *reason)
{
    pthread_mutex_lock(&scheduler->mutex);
    struct replica *replica = replica_of_line(scheduler, line);
    if (replica) {
        log_info("replica %s is gone%s%s; %d of its sequences go back to the queue", replica->name,
                 clean ? "" : ": ", clean ? "" : reason, replica->running.n);
        replica->operations = NULL;
        replica->line = NULL;
        put_back_all(scheduler, replica, !clean);
        forget_or_expect(scheduler, replica, clean, reason);
        dispatch(scheduler);
        fail_without_hope(scheduler);
        note_change(scheduler);
    }
    pthread_mutex_unlock(&scheduler->mutex);
}

/* ---- who starts replicas ---- */

void scheduler_expect(struct scheduler *scheduler, const char *name)
{
    pthread_mutex_lock(&scheduler->mutex);
    struct replica *replica = get_replica(scheduler, name);
    if (replica)
        replica->supervised = true;
    pthread_mutex_unlock(&scheduler->mutex);
}

bool scheduler_restarting(struct scheduler *scheduler, const char *name, const char *reason)
{
    bool was_ready = false;
    pthread_mutex_lock(&scheduler->mutex);
    struct replica *replica = replica_set_find(&scheduler->replicas, name);
    if (replica) {
        was_ready = replica->was_ready;
        replica->was_ready = false;
        if (replica->state != REPLICA_FAILED) /* whose own reason says more */
            set_error(replica, reason);
    }
    pthread_mutex_unlock(&scheduler->mutex);
    return was_ready;
}

bool scheduler_take_stuck(struct scheduler *scheduler, const char *name)
{
    pthread_mutex_lock(&scheduler->mutex);
    struct replica *replica = replica_set_find(&scheduler->replicas, name);
    bool is_stuck = replica && replica->is_stuck;
    if (is_stuck)
        replica->is_stuck = false;
    pthread_mutex_unlock(&scheduler->mutex);
    return is_stuck;
}

void scheduler_give_up(struct scheduler *scheduler, const char *name, const char *reason)
{
    pthread_mutex_lock(&scheduler->mutex);
    struct replica *replica = replica_set_find(&scheduler->replicas, name);
    if (replica && replica->state != REPLICA_FAILED)
        set_failed(scheduler, replica, reason);
    pthread_mutex_unlock(&scheduler->mutex);
}

/* ---- the process ---- */

void scheduler_check_silence(struct scheduler *scheduler)
{
    double now = clock_seconds();
    pthread_mutex_lock(&scheduler->mutex);
    for (struct replica *replica = scheduler->replicas.first; replica; replica = replica->next) {
        if (!replica->operations || !replica->running.n ||
            now - replica->heard_at < scheduler->options.silence_seconds)
            continue;
        log_error("replica %s has %d sequences and said nothing for %.0f s: hanging up", replica->name,
                  replica->running.n, now - replica->heard_at);
        replica->operations->hang_up(replica->line, STATUS_DEADLINE_EXCEEDED, "no report came in time");
        replica->heard_at = now; /* the rest happens when the line ends */
        replica->is_stuck = replica->supervised;
    }
    pthread_mutex_unlock(&scheduler->mutex);
}

void scheduler_refuse_new(struct scheduler *scheduler)
{
    pthread_mutex_lock(&scheduler->mutex);
    scheduler->refusing = true;
    pthread_mutex_unlock(&scheduler->mutex);
}

bool scheduler_is_idle(struct scheduler *scheduler)
{
    pthread_mutex_lock(&scheduler->mutex);
    bool idle = !scheduler->requests.n;
    pthread_mutex_unlock(&scheduler->mutex);
    return idle;
}

void scheduler_end_all(struct scheduler *scheduler, const char *reason)
{
    pthread_mutex_lock(&scheduler->mutex);
    while (scheduler->queue.first)
        fail_request(scheduler, scheduler->queue.first, STATUS_UNAVAILABLE, reason);
    for (struct replica *replica = scheduler->replicas.first; replica; replica = replica->next) {
        while (replica->running.first) {
            replica->operations->cancel(replica->line, replica->running.first->number);
            fail_request(scheduler, replica->running.first, STATUS_UNAVAILABLE, reason);
        }
    }
    pthread_mutex_unlock(&scheduler->mutex);
}

void scheduler_drain_replicas(struct scheduler *scheduler)
{
    pthread_mutex_lock(&scheduler->mutex);
    for (struct replica *replica = scheduler->replicas.first; replica; replica = replica->next) {
        if (!replica->operations)
            continue;
        replica->state = REPLICA_DRAINING;
        replica->operations->drain(replica->line);
    }
    pthread_mutex_unlock(&scheduler->mutex);
}

enum outlook scheduler_outlook(struct scheduler *scheduler, char *reason, size_t size)
{
    enum outlook outlook = OUTLOOK_WAITING;
    pthread_mutex_lock(&scheduler->mutex);
    const struct replica *failed = last_hope_lost(scheduler);
    if (replica_set_any(&scheduler->replicas, REPLICA_READY)) {
        outlook = OUTLOOK_READY;
    } else if (failed) {
        outlook = OUTLOOK_HOPELESS;
        snprintf(reason, size, "%s: %s", failed->name, failed->last_error);
    }
    pthread_mutex_unlock(&scheduler->mutex);
    return outlook;
}

void scheduler_totals(struct scheduler *scheduler, struct scheduler_totals *totals)
{
    pthread_mutex_lock(&scheduler->mutex);
    *totals = (struct scheduler_totals){
        .queued = (uint32_t)scheduler->queue.n,
        .running = (uint32_t)(scheduler->requests.n - scheduler->queue.n),
        .accepted = scheduler->accepted,
        .finished = scheduler->finished,
        .cancelled = scheduler->cancelled,
        .failed = scheduler->failed,
    };
    pthread_mutex_unlock(&scheduler->mutex);
}

void scheduler_each_replica(struct scheduler *scheduler, void (*visit)(void *context, const struct replica *),
                            void *context)
{
    pthread_mutex_lock(&scheduler->mutex);
    for (const struct replica *replica = scheduler->replicas.first; replica; replica = replica->next)
        visit(context, replica);
    pthread_mutex_unlock(&scheduler->mutex);
}
