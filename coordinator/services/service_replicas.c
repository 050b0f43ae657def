/*
 * Replicas.Attach: one stream for the life of a replica. To the scheduler the call itself is the identity of
 * the connection, from a good Hello until on_close. The call's `user` is a struct connection: what this file
 * knows.
 *
 *   opened  → greeted [Hello]        the scheduler has attached it
 *   greeted → ready   [Ready]        the fingerprint was right
 *   greeted → failed  [LoadFailed]   the model did not load; then the replica ends
 *   ready   → failed  [LoadFailed]   a step failed there: the scheduler counts it as lost, and it ends
 *   opened  → gone    [LoadFailed]   a rank above 0 says why its replica will break, whose stream is another
 *   any     → leaving [half-close]   the replica ends in its own time: a clean end
 *   any     → lost    [hang_up]      the scheduler gave it up and no longer knows the connection
 *   any     → gone    [on_close]
 */
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "coordinator/services/services.h"
#include "proto/replica.pb-c.h"

enum {
    SEQUENCES_MAX = 1 << 20, /* of one replica: sums of so many are far from overflowing */
    /* That wait for a replica to read them. One decision may submit all that fits into a batch, and a batch
     * has at most 4 Mi positions (--batch-tokens) of at most 8 bytes. A replica that reads none of it for
     * half a minute is cut off (common/rpc/server.h), and one that pulses no more earlier. */
    MAX_QUEUED_BYTES = 64 << 20,
};

struct connection {
    bool greeted, leaving;
    char fingerprint[17];
    struct error reason; /* why we ended it; STATUS_OK: we did not */
};

/* ---- to the replica; under the scheduler's lock, so these only pack and queue a message ---- */

static void send_kind(struct rpc_call *call, Millrace__Replica__V1__ToReplica__KindCase kind, void *content)
{
    Millrace__Replica__V1__ToReplica message = MILLRACE__REPLICA__V1__TO_REPLICA__INIT;
    message.kind_case = kind;
    message.welcome = content; /* a union of pointers */
    rpc_send(call, &message.base);
}

static void connection_submit(void *call, const struct run *run)
{
    const struct request_choices *choices = &run->request->choices;
    Millrace__Replica__V1__Submit submit = MILLRACE__REPLICA__V1__SUBMIT__INIT;
    submit.sequence = run->ticket;
    submit.n_ids = (size_t)run->length;
    submit.ids = (uint32_t *)run->ids;
    submit.editable = (ProtobufCBinaryData){(size_t)run->length, run->editable};
    submit.step = run->step;
    submit.steps = (uint32_t)run->steps;
    submit.seed = run->seed;
    submit.temperature = choices->temperature;
    submit.solver = (uint32_t)choices->solver;
    submit.revise = choices->revise;
    submit.most_changes = choices->most_changes;
    char traceparent[TRACE_HEADER_SIZE];
    trace_header(&run->request->terms.trace, traceparent);
    submit.traceparent = traceparent;
    submit.request_id = (char *)run->request->id.text;
    submit.until_jump = run->until_jump;
    submit.n_until_jump = run->until_jump && run->step > 0 ? (size_t)run->length : 0;
    send_kind(call, MILLRACE__REPLICA__V1__TO_REPLICA__KIND_SUBMIT, &submit);
}

static void connection_cancel(void *call, uint64_t ticket)
{
    Millrace__Replica__V1__Cancel cancel = MILLRACE__REPLICA__V1__CANCEL__INIT;
    cancel.sequence = ticket;
    send_kind(call, MILLRACE__REPLICA__V1__TO_REPLICA__KIND_CANCEL, &cancel);
}

static void connection_drain(void *call)
{
    Millrace__Replica__V1__Drain drain = MILLRACE__REPLICA__V1__DRAIN__INIT;
    send_kind(call, MILLRACE__REPLICA__V1__TO_REPLICA__KIND_DRAIN, &drain);
}

static void connection_hang_up(void *call, enum status status, const char *text)
{
    rpc_finish(call, status, text);
}

static const struct replica_connection operations = {connection_submit, connection_cancel, connection_drain,
                                                     connection_hang_up};

/* ---- from the replica ---- */

static void hang_up(struct rpc_call *call, const struct error *error)
{
    struct connection *connection = rpc_call_user(call);
    connection->reason = *error;
    log_warning("hanging up on %s: %s", rpc_call_peer(call), error->text);
    rpc_fail(call, error);
}

static enum status on_hello(struct rpc_call *call, struct coordinator *coordinator,
                            const Millrace__Replica__V1__Hello *hello, struct error *error)
{
    struct connection *connection = rpc_call_user(call);
    if (connection->greeted)
        return error_set(error, STATUS_INVALID_ARGUMENT, "a second hello on one stream");
    struct replica_hello plain = {hello->replica, hello->backend, hello->ranks, hello->launch};
    enum status status = scheduler_attach(coordinator->scheduler, &plain, &operations, call, error);
    if (status != STATUS_OK)
        return status;
    connection->greeted = true;
    strncpy(connection->fingerprint, hello->model_fingerprint, sizeof connection->fingerprint - 1);
    Millrace__Replica__V1__Welcome welcome = MILLRACE__REPLICA__V1__WELCOME__INIT;
    send_kind(call, MILLRACE__REPLICA__V1__TO_REPLICA__KIND_WELCOME, &welcome);
    log_info("replica %s attached from %s", hello->replica, rpc_call_peer(call));
    return STATUS_OK;
}

/* At Ready, not at Hello: a replica that could not load its model has no fingerprint to show. */
static enum status check_fingerprint(struct rpc_call *call, struct coordinator *coordinator,
                                     struct error *error)
{
    const struct connection *connection = rpc_call_user(call);
    if (!strcmp(connection->fingerprint, coordinator->model->fingerprint))
        return STATUS_OK;
    error_set(error, STATUS_FAILED_PRECONDITION,
              "the replica's model is another one: fingerprint %s, the coordinator's is %s",
              connection->fingerprint, coordinator->model->fingerprint);
    scheduler_refused(coordinator->scheduler, call, error->text);
    return error->status;
}

static enum status on_ready(struct rpc_call *call, struct coordinator *coordinator,
                            const Millrace__Replica__V1__Ready *ready, struct error *error)
{
    enum status status = check_fingerprint(call, coordinator, error);
    if (status != STATUS_OK)
        return status;
    if (ready->max_sequences < 1 || ready->max_sequences > SEQUENCES_MAX || ready->max_batch_tokens < 1 ||
        ready->held_sequences > SEQUENCES_MAX)
        return error_set(
            error, STATUS_INVALID_ARGUMENT,
            "ready: %u sequences and %u tokens at a time, %u sequences besides; 1 or more, and at "
            "most %d sequences",
            ready->max_sequences, ready->max_batch_tokens, ready->held_sequences, SEQUENCES_MAX);
    const struct replica_capacity capacity = {.max_sequences = (int)ready->max_sequences,
                                              .max_tokens = ready->max_batch_tokens,
                                              .held_sequences = (int)ready->held_sequences,
                                              .held_tokens = ready->held_tokens,
                                              .run_ahead_steps = ready->run_ahead_steps != 0};
    scheduler_ready(coordinator->scheduler, call, &capacity);
    return STATUS_OK;
}

static enum status on_report(struct rpc_call *call, struct coordinator *coordinator,
                             const Millrace__Replica__V1__Report *wire, struct error *error)
{
    if (wire->n_positions != wire->n_ids)
        return error_set(error, STATUS_INVALID_ARGUMENT, "report of sequence %llu: %zu positions and %zu ids",
                         (unsigned long long)wire->sequence, wire->n_positions, wire->n_ids);
    if (wire->n_log_probabilities && wire->n_log_probabilities != wire->n_ids)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "report of sequence %llu: %zu ids and %zu log probabilities",
                         (unsigned long long)wire->sequence, wire->n_ids, wire->n_log_probabilities);
    struct step_report report = {
        .ticket = wire->sequence,
        .batch_step = wire->batch_step,
        .batch_tokens = wire->batch_tokens,
        .step = wire->step,
        .n_changed = wire->n_positions,
        .positions = wire->positions,
        .ids = wire->ids,
        .log_probabilities = wire->n_log_probabilities ? wire->log_probabilities : NULL,
        .step_ms = wire->step_ms,
        .done = wire->done,
        .log_probability = wire->log_probability,
        .scored = wire->scored,
        .forwards = wire->forwards,
        .n_until_jump = wire->n_until_jump,
        .until_jump = wire->until_jump,
    };
    return scheduler_report(coordinator->scheduler, call, &report, error);
}

static void on_pulse(struct rpc_call *call, struct coordinator *coordinator,
                     const Millrace__Replica__V1__Pulse *wire)
{
    const struct replica_pulse pulse = {
        .progress = wire->progress,
        .steps = wire->steps,
        .passes = wire->passes,
        .rows = wire->rows,
        .needed_rows = wire->needed_rows,
        .changed = wire->changed,
        .matmul_seconds = wire->matmul_seconds,
        .attention_seconds = wire->attention_seconds,
        .head_seconds = wire->head_seconds,
        .communication_seconds = wire->communication_seconds,
        .other_seconds = wire->other_seconds,
    };
    scheduler_pulse(coordinator->scheduler, call, &pulse);
}

static enum status handle(struct rpc_call *call, struct coordinator *coordinator,
                          const Millrace__Replica__V1__FromReplica *message, struct error *error)
{
    const struct connection *connection = rpc_call_user(call);
    if (message->kind_case == MILLRACE__REPLICA__V1__FROM_REPLICA__KIND_HELLO)
        return on_hello(call, coordinator, message->hello, error);
    if (!connection->greeted && message->kind_case == MILLRACE__REPLICA__V1__FROM_REPLICA__KIND_FAILED &&
        message->failed->replica[0]) {
        scheduler_explain(coordinator->scheduler, message->failed->replica, message->failed->launch,
                          message->failed->reason);
        return STATUS_OK;
    }
    if (!connection->greeted)
        return error_set(error, STATUS_INVALID_ARGUMENT, "the first message of a replica is its hello");
    switch (message->kind_case) {
    case MILLRACE__REPLICA__V1__FROM_REPLICA__KIND_READY:
        return on_ready(call, coordinator, message->ready, error);
    case MILLRACE__REPLICA__V1__FROM_REPLICA__KIND_FAILED:
        scheduler_failed(coordinator->scheduler, call, message->failed->reason);
        return STATUS_OK;
    case MILLRACE__REPLICA__V1__FROM_REPLICA__KIND_REPORT:
        return on_report(call, coordinator, message->report, error);
    case MILLRACE__REPLICA__V1__FROM_REPLICA__KIND_REJECTED:
        scheduler_rejected(coordinator->scheduler, call, message->rejected->sequence,
                           (enum status)message->rejected->status, message->rejected->reason);
        return STATUS_OK;
    case MILLRACE__REPLICA__V1__FROM_REPLICA__KIND_PULSE:
        on_pulse(call, coordinator, message->pulse);
        return STATUS_OK;
    case MILLRACE__REPLICA__V1__FROM_REPLICA__KIND_LEAVING:
        scheduler_leaving(coordinator->scheduler, call);
        return STATUS_OK;
    default: /* a newer replica's message */
        return STATUS_OK;
    }
}

static void on_message(struct rpc_call *call, const ProtobufCMessage *message, void *context)
{
    struct coordinator *coordinator = context;
    struct connection *connection = rpc_call_user(call);
    struct error error;
    if (!message) {
        connection->leaving = true;
        rpc_finish(call, STATUS_OK, NULL);
        return;
    }
    scheduler_heard(coordinator->scheduler, call);
    if (handle(call, coordinator, (const Millrace__Replica__V1__FromReplica *)message, &error) != STATUS_OK)
        hang_up(call, &error);
}

static void on_call(struct rpc_call *call, const ProtobufCMessage *request, void *context)
{
    (void)request, (void)context;
    struct connection *connection = calloc(1, sizeof *connection);
    rpc_call_set_user(call, connection);
    if (!connection)
        rpc_finish(call, STATUS_RESOURCE_EXHAUSTED, "no memory for another replica");
}

static void on_close(struct rpc_call *call, bool cancelled, void *context)
{
    struct coordinator *coordinator = context;
    struct connection *connection = rpc_call_user(call);
    bool clean = connection && connection->leaving && !cancelled;
    if (connection && connection->greeted)
        scheduler_detach(coordinator->scheduler, call, clean,
                         connection->reason.status ? connection->reason.text : "its stream broke");
    free(connection);
}

struct rpc_service replicas_service(struct coordinator *coordinator)
{
    static const struct rpc_method methods[] = {
        {"/millrace.replica.v1.Replicas/Attach", RPC_BIDI, &millrace__replica__v1__from_replica__descriptor,
         on_call, on_message, on_close, RPC_SCOPE_REPLICA, MAX_QUEUED_BYTES},
        {0},
    };
    return (struct rpc_service){"millrace.replica.v1.Replicas", methods, coordinator};
}
