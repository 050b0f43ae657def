/*
 * One call on the server.
 *
 *   slot     → running   [call_post; CALL_ARRIVED]        gRPC found a client for it
 *   running  → announced [announce]                       on_call was called: on_close will be
 *   any      → finishing [rpc_finish]                     a status waits behind the outbox
 *   any      → closed    [CALL_CLOSED]                    no callback and no batch begins after this
 *   closed   → released  [batch_done, the last batch]     gRPC's call is let go
 *
 * The struct lives on while somebody holds a reference.
 *
 * Threads. `user`, `announced` and all callbacks belong to the thread that has the turn (pollers.h).
 * Everything below `mutex` is guarded by it, and so is every grpc_call_start_batch: gRPC wants them one at a
 * time, and none after CALL_CLOSED, because the queue that would carry its completion may be gone by then
 * (gRPC aborts the process).
 */
#include "common/rpc/call_state.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/rpc/entrance.h"
#include "common/rpc/unpack.h"
#include "common/rpc/wire.h"

static struct rpc_call *call_create(struct call_host *host, struct entrance *entrance)
{
    struct rpc_call *call = calloc(1, sizeof *call);
    if (!call)
        return NULL;
    call->host = host;
    call->entrance = entrance;
    call->references = 1;
    call->n_batches = 1; /* the arrival */
    grpc_call_details_init(&call->details);
    grpc_metadata_array_init(&call->metadata);
    pthread_mutex_init(&call->mutex, NULL);
    call->status_text = grpc_empty_slice();
    for (int kind = 0; kind < N_CALL_EVENTS; kind++) {
        call->events[kind].kind = kind;
        atomic_store(&call->events[kind].call, call);
    }
    return call;
}

enum { STATUS_TEXT_MAX = 2048 };

struct rpc_call *rpc_call_ref(struct rpc_call *call)
{
    atomic_fetch_add(&call->references, 1);
    return call;
}

void rpc_call_unref(struct rpc_call *call)
{
    if (!call || atomic_fetch_sub(&call->references, 1) > 1)
        return;
    pthread_mutex_destroy(&call->mutex);
    peer_release(&call->peer);
    headers_free(call->headers);
    free(call);
}

/* ---- what waits to be sent; holding the mutex ---- */

static void take_bytes(struct rpc_call *call, size_t n)
{
    if (!call_has_own_bound(call))
        atomic_fetch_add(&call->host->queued_bytes, n);
}

static void release_bytes(struct rpc_call *call, size_t n)
{
    if (!call_has_own_bound(call))
        atomic_fetch_sub(&call->host->queued_bytes, n);
}

static void drop_outgoing(struct rpc_call *call)
{
    if (!call->outgoing)
        return;
    release_bytes(call, grpc_byte_buffer_length(call->outgoing));
    grpc_byte_buffer_destroy(call->outgoing);
    call->outgoing = NULL;
}

static void drop_outbox(struct rpc_call *call)
{
    release_bytes(call, call->outbox.size_bytes);
    outbox_clear(&call->outbox);
}

/* ---- the end of gRPC's part ---- */

/* Releases all that belongs to gRPC: nothing of it may be left when the server closes. */
static void call_destroy(struct rpc_call *call)
{
    drop_outbox(call);
    grpc_slice_unref(call->status_text);
    metadata_clear(&call->initial);
    metadata_clear(&call->trailers);
    grpc_call_details_destroy(&call->details);
    grpc_metadata_array_destroy(&call->metadata);
    if (call->call)
        grpc_call_unref(call->call);
    rpc_call_unref(call);
}

static void call_release(struct rpc_call *call)
{
    struct call_host *host = call->host;
    call_end_waiting(call);
    call_end_open(call);
    if (call->admitted)
        host->left(host, call, call->method);
    call_destroy(call);
    host->released(host);
}

bool call_post(struct call_host *host, struct entrance *entrance)
{
    struct rpc_call *call = call_create(host, entrance);
    if (!call)
        return false;
    grpc_call_error failed =
        grpc_server_request_call(entrance->server, &call->call, &call->details, &call->metadata, host->queue,
                                 host->queue, &call->events[CALL_ARRIVED]);
    if (failed == GRPC_CALL_OK)
        return true;
    log_error("gRPC refuses to wait for a call: %s", grpc_call_error_to_string(failed));
    call_destroy(call);
    return false;
}

/* Holding the mutex. False: gRPC refuses the batch, which is a defect of ours. The call is given up: nothing
 * waits for a completion that will not come. */
static bool start_batch(struct rpc_call *call, const grpc_op *operations, size_t n, enum call_event_kind kind)
{
    grpc_call_error failed = grpc_call_start_batch(call->call, operations, n, &call->events[kind], NULL);
    if (failed == GRPC_CALL_OK) {
        call->n_batches++;
        return true;
    }
    log_error("gRPC refuses a batch of a server's call: %s", grpc_call_error_to_string(failed));
    grpc_call_cancel(call->call, NULL);
    return false;
}

static void batch_done(struct rpc_call *call)
{
    pthread_mutex_lock(&call->mutex);
    bool last = --call->n_batches == 0;
    pthread_mutex_unlock(&call->mutex);
    if (last)
        call_release(call);
}

/* ---- sending ---- */

static size_t add_headers(struct rpc_call *call, grpc_op *operation)
{
    operation->op = GRPC_OP_SEND_INITIAL_METADATA;
    operation->data.send_initial_metadata.count = call->initial.n;
    operation->data.send_initial_metadata.metadata = call->initial.items;
    call->metadata_sent = true;
    return 1;
}

static size_t add_status(struct rpc_call *call, grpc_op *operation)
{
    operation->op = GRPC_OP_SEND_STATUS_FROM_SERVER;
    operation->data.send_status_from_server.status = (grpc_status_code)call->status;
    operation->data.send_status_from_server.status_details = &call->status_text;
    operation->data.send_status_from_server.trailing_metadata_count = call->trailers.n;
    operation->data.send_status_from_server.trailing_metadata = call->trailers.items;
    call->status_sent = true;
    return 1;
}

static void drop_unsent(struct rpc_call *call)
{
    drop_outgoing(call);
    drop_outbox(call);
}

/* Starts the next batch that sends, if there is anything to send and none is in flight. Holding the mutex. */
static void send_next(struct rpc_call *call)
{
    grpc_op operations[3] = {0};
    size_t n = 0;
    if (call->sending || call->closed || call->status_sent)
        return;
    call->outgoing = outbox_pop(&call->outbox);
    bool end = call->finishing && !call->outbox.first;
    if (!call->outgoing && !end)
        return;
    if (!call->metadata_sent)
        n += add_headers(call, &operations[n]);
    if (call->outgoing) {
        operations[n].op = GRPC_OP_SEND_MESSAGE;
        operations[n++].data.send_message.send_message = call->outgoing;
    }
    if (end)
        n += add_status(call, &operations[n]);
    call->sending_since = clock_seconds();
    call->sending = start_batch(call, operations, n, CALL_SENT);
    if (!call->sending)
        drop_unsent(call);
}

static void on_sent(struct rpc_call *call, bool ok)
{
    pthread_mutex_lock(&call->mutex);
    drop_outgoing(call);
    call->sending = false;
    if (!ok) { /* the client is gone: CALL_CLOSED follows */
        drop_outbox(call);
        grpc_call_cancel(call->call, NULL);
    } else {
        send_next(call);
    }
    pthread_mutex_unlock(&call->mutex);
}

/* Clients take some kilobytes of trailers and end the call with another sentence beyond. Cut between two
 * characters of UTF-8. */
static grpc_slice status_text(const char *text)
{
    size_t size = strnlen(text, STATUS_TEXT_MAX + 1);
    if (size > STATUS_TEXT_MAX) {
        size = STATUS_TEXT_MAX;
        while (size > 0 && ((unsigned char)text[size] & 0xc0) == 0x80)
            size--;
    }
    return grpc_slice_from_copied_buffer(text, size);
}

/* Holding the mutex. */
static bool finish(struct rpc_call *call, enum status status, const char *text)
{
    if (call->finishing || call->closed)
        return false;
    call->finishing = true;
    call->status = status;
    call->status_text = status_text(text ? text : "");
    return true;
}

void call_cut(struct rpc_call *call, enum status status, const char *text)
{
    pthread_mutex_lock(&call->mutex);
    finish(call, status, text);
    drop_outbox(call);
    if (call->sending && !call->closed)
        grpc_call_cancel_with_status(call->call, (grpc_status_code)status, text, NULL);
    else
        send_next(call);
    pthread_mutex_unlock(&call->mutex);
}

static size_t most_queued_bytes(const struct rpc_call *call)
{
    return call_has_own_bound(call) ? call->method->max_queued_bytes : call->host->max_queued_bytes;
}

/* Holding the mutex. */
static enum status enqueue(struct rpc_call *call, const ProtobufCMessage *message)
{
    if (call->closed || call->finishing)
        return STATUS_CANCELLED;
    if (call->outbox.size_bytes > most_queued_bytes(call)) {
        drop_outbox(call);
        finish(call, STATUS_RESOURCE_EXHAUSTED, "the client reads too slowly: too many messages wait for it");
        return STATUS_RESOURCE_EXHAUSTED;
    }
    grpc_byte_buffer *buffer = wire_pack(message);
    size_t size = grpc_byte_buffer_length(buffer);
    if (outbox_push(&call->outbox, buffer)) {
        take_bytes(call, size);
        return STATUS_OK;
    }
    finish(call, STATUS_RESOURCE_EXHAUSTED, "no memory for an answer");
    return STATUS_RESOURCE_EXHAUSTED;
}

enum status rpc_send(struct rpc_call *call, const ProtobufCMessage *message)
{
    pthread_mutex_lock(&call->mutex);
    enum status status = enqueue(call, message);
    send_next(call);
    pthread_mutex_unlock(&call->mutex);
    return status;
}

bool rpc_finish(struct rpc_call *call, enum status status, const char *text)
{
    pthread_mutex_lock(&call->mutex);
    bool first = finish(call, status, text);
    send_next(call);
    pthread_mutex_unlock(&call->mutex);
    return first;
}

void rpc_reply(struct rpc_call *call, const ProtobufCMessage *message)
{
    pthread_mutex_lock(&call->mutex);
    if (enqueue(call, message) == STATUS_OK)
        finish(call, STATUS_OK, NULL);
    send_next(call);
    pthread_mutex_unlock(&call->mutex);
}

void rpc_fail(struct rpc_call *call, const struct error *error)
{
    pthread_mutex_lock(&call->mutex);
    if (finish(call, error->status, error->text))
        metadata_add_retry(&call->trailers, error);
    send_next(call);
    pthread_mutex_unlock(&call->mutex);
}

bool rpc_set_header(struct rpc_call *call, const char *key, const char *value)
{
    pthread_mutex_lock(&call->mutex);
    bool added =
        !call->closed && !call->metadata_sent && metadata_add(&call->initial, key, value, strlen(value));
    pthread_mutex_unlock(&call->mutex);
    return added;
}

bool rpc_set_trailer(struct rpc_call *call, const char *key, const char *value)
{
    pthread_mutex_lock(&call->mutex);
    bool added =
        !call->closed && !call->finishing && metadata_add(&call->trailers, key, value, strlen(value));
    pthread_mutex_unlock(&call->mutex);
    return added;
}

/* ---- what came of the bytes; with the turn ---- */

enum {
    CALL_BYTES = 64,         /* that a call costs beside its headers and messages, about */
    REFUSED_BYTES = 8 << 20, /* gRPC does not say how large a message was that it refused and let go */
};
#define VAIN_SECONDS 1.0 /* a call that is given up so early was in vain */

static void count_useful(const struct rpc_call *call, size_t bytes)
{
    if (call->is_tcp)
        traffic_add_useful(call->host->traffic, &call->key, bytes);
}

static void count_vain(const struct rpc_call *call)
{
    if (call->is_tcp)
        traffic_add_vain(call->host->traffic, &call->key);
}

static void count_reading(struct rpc_call *call, bool is_reading)
{
    if (call->is_tcp && call->is_reading != is_reading)
        traffic_add_reading(call->host->traffic, &call->key, is_reading ? 1 : -1);
    call->is_reading = is_reading;
}

/* ---- receiving ---- */

static void read_next(struct rpc_call *call)
{
    grpc_op operation = {.op = GRPC_OP_RECV_MESSAGE};
    operation.data.recv_message.recv_message = &call->incoming;
    pthread_mutex_lock(&call->mutex);
    bool started = !call->closed && start_batch(call, &operation, 1, CALL_READ);
    pthread_mutex_unlock(&call->mutex);
    if (started)
        count_reading(call, true);
}

static bool is_over(struct rpc_call *call)
{
    pthread_mutex_lock(&call->mutex);
    bool over = call->closed || call->finishing;
    pthread_mutex_unlock(&call->mutex);
    return over;
}

static void announce(struct rpc_call *call, const ProtobufCMessage *request)
{
    call->announced = true;
    call->method->on_call(call, request, call->context);
}

/* A message of the client, or NULL for its end. */
static void deliver(struct rpc_call *call, const ProtobufCMessage *message)
{
    if (call->method->kind != RPC_BIDI)
        announce(call, message);
    else
        call->method->on_message(call, message, call->context);
}

/* Not ok: the call is broken, or the message above the limit; gRPC itself tells the client. */
static void on_read_end(struct rpc_call *call, bool ok)
{
    if (call->method->kind == RPC_BIDI)
        deliver(call, NULL);
    else if (ok)
        rpc_finish(call, STATUS_INVALID_ARGUMENT, "the call carries no message");
}

static void on_read(struct rpc_call *call, bool ok)
{
    grpc_byte_buffer *buffer = call->incoming;
    call->incoming = NULL;
    call_end_waiting(call);
    count_reading(call, false);
    if (is_over(call)) {
        grpc_byte_buffer_destroy(buffer);
        return;
    }
    if (!buffer) {
        count_useful(call, ok ? 0 : REFUSED_BYTES);
        on_read_end(call, ok && !grpc_call_failed_before_recv_message(call->call));
        return;
    }
    ProtobufCMessage *message;
    struct error error;
    enum status status = wire_unpack_checked(buffer, call->method->request, &message, &error);
    count_useful(call, grpc_byte_buffer_length(buffer) + CALL_BYTES);
    grpc_byte_buffer_destroy(buffer);
    if (status != STATUS_OK) {
        rpc_fail(call, &error);
        return;
    }
    deliver(call, message);
    unpack_free(message);
    if (call->method->kind == RPC_BIDI)
        read_next(call);
}

/* ---- beginning and end ---- */

/* This batch tells of a cancellation, a deadline and a lost connection, so every call begins with it. False:
 * gRPC refuses it, and the call is over. */
static bool watch_close(struct rpc_call *call)
{
    grpc_op operation = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
    operation.data.recv_close_on_server.cancelled = &call->cancelled;
    pthread_mutex_lock(&call->mutex);
    call->closed = !start_batch(call, &operation, 1, CALL_CLOSED);
    bool watched = !call->closed;
    pthread_mutex_unlock(&call->mutex);
    return watched;
}

static void refuse(struct rpc_call *call, const struct error *error)
{
    count_vain(call);
    rpc_fail(call, error);
}

/* Finds out who calls. False: the call was refused. */
static bool admit(struct rpc_call *call, const char *path)
{
    struct error error;
    enum status status = call->host->admit(call->host, call, path, call->method, &call->caller, &error);
    call->admitted = status == STATUS_OK;
    if (status == STATUS_OK && !call->method)
        status = error_set(&error, STATUS_UNIMPLEMENTED, "there is no method \"%.200s\" here", path);
    if (status != STATUS_OK)
        refuse(call, &error);
    return status == STATUS_OK;
}

static void begin(struct rpc_call *call)
{
    if (call->method->kind == RPC_BIDI)
        announce(call, NULL);
    call_begin_waiting(call);
    read_next(call);
}

/* gRPC's own limit ends the whole connection, with the calls of everybody behind the same proxy. So it lies
 * far above ours, which ends this call alone. */
static enum status read_head(struct rpc_call *call, char **path, struct error *error)
{
    size_t size = headers_bytes(&call->metadata), most = call->host->max_header_bytes;
    if (size > most)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED,
                         "the headers of the call have %zu bytes; at most %zu are taken", size, most);
    peer_read(&call->peer, call->call);
    call->is_tcp = call->peer.address && peer_key_parse(call->peer.address, &call->key);
    count_useful(call, size + CALL_BYTES);
    call->headers = headers_copy(&call->metadata);
    *path = wire_text(call->details.method);
    if (!*path || !call->peer.address || !call->headers)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a call");
    return STATUS_OK;
}

static void on_arrived(struct rpc_call *call, bool ok)
{
    struct error error;
    char *path = NULL;
    if (!ok)
        return;
    call->host->arrived(call->host, call->entrance);
    if (!watch_close(call))
        return;
    call_begin_open(call);
    call->arrived_at = clock_seconds();
    if (read_head(call, &path, &error) != STATUS_OK) {
        rpc_fail(call, &error);
        free(path);
        return;
    }
    call->method = call->host->find(call->host, path, &call->context);
    if (admit(call, path))
        begin(call);
    free(path);
}

static void on_closed(struct rpc_call *call)
{
    pthread_mutex_lock(&call->mutex);
    call->closed = true;
    drop_outbox(call);
    pthread_mutex_unlock(&call->mutex);
    count_reading(call, false);
    if (call->cancelled && clock_seconds() - call->arrived_at < VAIN_SECONDS)
        count_vain(call);
    if (call->announced && call->method->on_close)
        call->method->on_close(call, call->cancelled != 0, call->context);
}

void call_complete(struct completion *completion, bool ok)
{
    struct call_event *event = (struct call_event *)completion;
    struct rpc_call *call = atomic_load(&event->call);
    switch (event->kind) {
    case CALL_ARRIVED:
        on_arrived(call, ok);
        break;
    case CALL_READ:
        on_read(call, ok);
        break;
    case CALL_SENT:
        on_sent(call, ok);
        break;
    case CALL_CLOSED:
        on_closed(call);
        break;
    case N_CALL_EVENTS:
        assert(!"no such event");
    }
    batch_done(call);
}

void rpc_call_set_user(struct rpc_call *call, void *user)
{
    call->user = user;
}

void *rpc_call_user(const struct rpc_call *call)
{
    return call->user;
}

const char *rpc_call_peer(const struct rpc_call *call)
{
    return call->peer.address;
}

const char *rpc_call_header_bytes(const struct rpc_call *call, const char *key, size_t *size_bytes)
{
    return headers_find(call->headers, key, size_bytes);
}

const char *rpc_call_header(const struct rpc_call *call, const char *key)
{
    size_t size_bytes;
    return headers_find(call->headers, key, &size_bytes);
}

int rpc_call_n_headers(const struct rpc_call *call, const char *key)
{
    return headers_count(call->headers, key);
}

bool rpc_call_is_tls(const struct rpc_call *call)
{
    return call->peer.is_tls;
}

const char *rpc_call_tls_name(const struct rpc_call *call, int index)
{
    char **name = call->peer.names;
    for (int i = 0; name && *name && i < index; i++)
        name++;
    return name ? *name : NULL;
}

const struct rpc_caller *rpc_call_caller(const struct rpc_call *call)
{
    return &call->caller;
}

double rpc_call_seconds_left(const struct rpc_call *call)
{
    return wire_seconds_left(call->details.deadline);
}
