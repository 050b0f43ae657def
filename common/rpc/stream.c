/*
 * One call of the client.
 *
 * Threads. Everything in the struct is guarded by `mutex`, and so is every grpc_call_start_batch. The
 * channel's thread takes note of completions and wakes the threads that wait on `changed`. One message is
 * read ahead; the next is asked for when the reader has taken it, so a reader that stops also stops the
 * server.
 *
 *   reading → no_more [STREAM_READ without a message]    what came before it has been delivered
 *   running → ended   [STREAM_ENDED]                     the status is known
 *   RPC_READ_END = no_more and ended
 */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/rpc/channel.h"
#include "common/rpc/outbox.h"
#include "common/rpc/tls_probe.h"
#include "common/rpc/wire.h"

enum { MAX_QUEUED_BYTES = 64 << 20 };

/* The meaning of a completion. Each stream has one tag of each kind: no two of a kind are ever in flight. */
enum stream_event_kind {
    STREAM_STARTED, /* the server's initial metadata came */
    STREAM_READ,    /* a message, or none any more */
    STREAM_SENT,    /* the message in flight is on its way */
    STREAM_ENDED,   /* the call is over and its status known */
    N_STREAM_EVENTS
};

struct stream_event {
    struct completion completion; /* first: the channel hands it back */
    enum stream_event_kind kind;
    struct rpc_stream *stream;
};

struct rpc_stream {
    struct rpc_channel *channel;
    const ProtobufCMessageDescriptor *response_type;
    struct stream_event events[N_STREAM_EVENTS];
    grpc_call *call;

    pthread_mutex_t mutex;
    pthread_cond_t changed;
    void (*notify)(void *context); /* there is something to read; NULL: nobody asks for that */
    void *notify_context;
    int n_batches; /* in flight */

    grpc_metadata_array initial_metadata;
    grpc_byte_buffer *incoming; /* written by gRPC while a read is in flight */
    grpc_byte_buffer *ready;    /* read ahead */
    bool no_more;

    struct outbox outbox;
    grpc_byte_buffer *outgoing; /* in flight */
    bool sending, send_closing, send_closed;

    grpc_metadata_array trailing_metadata;
    grpc_status_code code;
    grpc_slice text;
    bool ended;
    bool malformed; /* the server sent bytes that are no message of the type */
    bool refused;   /* gRPC did not start a batch */
};

/* ---- batches; holding the mutex ---- */

static void note(struct rpc_stream *stream, enum stream_event_kind kind, bool ok);

/* A batch that gRPC refuses is a defect of ours. It counts as one that has failed, and the call is given up:
 * nothing waits for a completion that will not come. */
static void start_batch(struct rpc_stream *stream, const grpc_op *operations, size_t n,
                        enum stream_event_kind kind)
{
    grpc_call_error failed =
        grpc_call_start_batch(stream->call, operations, n, &stream->events[kind].completion, NULL);
    if (failed == GRPC_CALL_OK) {
        stream->n_batches++;
        return;
    }
    log_error("gRPC refuses a batch of a client's call: %s", grpc_call_error_to_string(failed));
    stream->refused = true;
    grpc_call_cancel(stream->call, NULL);
    note(stream, kind, false);
}

static void start_call(struct rpc_stream *stream, struct metadata *headers)
{
    grpc_op metadata[2] = {{.op = GRPC_OP_SEND_INITIAL_METADATA}, {.op = GRPC_OP_RECV_INITIAL_METADATA}};
    metadata[0].data.send_initial_metadata.count = headers->n;
    metadata[0].data.send_initial_metadata.metadata = headers->items;
    metadata[1].data.recv_initial_metadata.recv_initial_metadata = &stream->initial_metadata;
    start_batch(stream, metadata, 2, STREAM_STARTED);
    grpc_op end = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT}; /* alone, or the others would complete with it */
    end.data.recv_status_on_client.trailing_metadata = &stream->trailing_metadata;
    end.data.recv_status_on_client.status = &stream->code;
    end.data.recv_status_on_client.status_details = &stream->text;
    start_batch(stream, &end, 1, STREAM_ENDED);
}

static void read_next(struct rpc_stream *stream)
{
    grpc_op operation = {.op = GRPC_OP_RECV_MESSAGE};
    operation.data.recv_message.recv_message = &stream->incoming;
    start_batch(stream, &operation, 1, STREAM_READ);
}

static void send_next(struct rpc_stream *stream)
{
    grpc_op operations[2] = {0};
    size_t n = 0;
    if (stream->sending || stream->ended || stream->send_closed)
        return;
    stream->outgoing = outbox_pop(&stream->outbox);
    if (stream->outgoing) {
        operations[n].op = GRPC_OP_SEND_MESSAGE;
        operations[n++].data.send_message.send_message = stream->outgoing;
    }
    if (stream->send_closing && !stream->outbox.first) {
        operations[n++].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
        stream->send_closed = true;
    }
    if (!n)
        return;
    stream->sending = true;
    start_batch(stream, operations, n, STREAM_SENT);
}

/* ---- completions; holding the mutex ---- */

static void note_read(struct rpc_stream *stream)
{
    stream->ready = stream->incoming;
    stream->incoming = NULL;
    stream->no_more = !stream->ready;
}

static void note_sent(struct rpc_stream *stream, bool ok)
{
    grpc_byte_buffer_destroy(stream->outgoing);
    stream->outgoing = NULL;
    stream->sending = false;
    if (ok)
        send_next(stream);
    else
        outbox_clear(&stream->outbox);
}

static void note_ended(struct rpc_stream *stream)
{
    stream->ended = true;
    outbox_clear(&stream->outbox);
}

static void note(struct rpc_stream *stream, enum stream_event_kind kind, bool ok)
{
    if (kind == STREAM_READ)
        note_read(stream);
    else if (kind == STREAM_SENT)
        note_sent(stream, ok);
    else if (kind == STREAM_ENDED)
        note_ended(stream);
}

/* Holding the mutex: the stream is not freed before all of its completions were noted. */
static void notify_reader(const struct rpc_stream *stream)
{
    if (stream->notify && (stream->ready || (stream->no_more && stream->ended)))
        stream->notify(stream->notify_context);
}

/* On the channel's thread. */
static void complete(struct completion *completion, bool ok)
{
    struct stream_event *event = (struct stream_event *)completion;
    struct rpc_stream *stream = event->stream;
    pthread_mutex_lock(&stream->mutex);
    note(stream, event->kind, ok);
    stream->n_batches--;
    notify_reader(stream);
    pthread_cond_broadcast(&stream->changed);
    pthread_mutex_unlock(&stream->mutex);
}

/* ---- what callers see ---- */

static struct rpc_stream *stream_create(struct rpc_channel *channel,
                                        const ProtobufCMessageDescriptor *response_type)
{
    struct rpc_stream *stream = calloc(1, sizeof *stream);
    if (!stream)
        return NULL;
    stream->channel = channel;
    stream->response_type = response_type;
    grpc_metadata_array_init(&stream->initial_metadata);
    grpc_metadata_array_init(&stream->trailing_metadata);
    stream->text = grpc_empty_slice();
    pthread_mutex_init(&stream->mutex, NULL);
    clock_condition_init(&stream->changed);
    for (int kind = 0; kind < N_STREAM_EVENTS; kind++) {
        stream->events[kind].kind = kind;
        stream->events[kind].stream = stream;
        atomic_store(&stream->events[kind].completion.complete, complete);
    }
    return stream;
}

static void stream_free(struct rpc_stream *stream)
{
    if (stream->call)
        grpc_call_unref(stream->call);
    grpc_byte_buffer_destroy(stream->ready);
    outbox_clear(&stream->outbox);
    grpc_metadata_array_destroy(&stream->initial_metadata);
    grpc_metadata_array_destroy(&stream->trailing_metadata);
    grpc_slice_unref(stream->text);
    pthread_cond_destroy(&stream->changed);
    pthread_mutex_destroy(&stream->mutex);
    free(stream);
}

/* Begins the call with the channel's headers and its token, which may be another one the next time. */
static enum status begin_call(struct rpc_stream *stream, const char *path, double timeout_seconds,
                              struct error *error)
{
    struct rpc_channel *channel = stream->channel;
    grpc_slice method = grpc_slice_from_copied_string(path);
    pthread_mutex_lock(&channel->mutex);
    channel_refresh(channel);
    stream->call = grpc_channel_create_call(channel->channel, NULL, GRPC_PROPAGATE_DEFAULTS, channel->queue,
                                            method, NULL, wire_deadline(timeout_seconds), NULL);
    if (stream->call) {
        pthread_mutex_lock(&stream->mutex);
        start_call(stream, &channel->headers);
        pthread_mutex_unlock(&stream->mutex);
    }
    pthread_mutex_unlock(&channel->mutex);
    grpc_slice_unref(method);
    return stream->call ? STATUS_OK
                        : error_set(error, STATUS_INTERNAL, "gRPC cannot make a call of %s", path);
}

static enum status refuse_memory(const char *path, struct error *error)
{
    return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a call of %s", path);
}

enum status rpc_stream_open(struct rpc_channel *channel, const char *path, const ProtobufCMessage *request,
                            const ProtobufCMessageDescriptor *response_type, double timeout_seconds,
                            struct rpc_stream **opened, struct error *error)
{
    struct rpc_stream *stream = stream_create(channel, response_type);
    if (!stream)
        return refuse_memory(path, error);
    enum status status = begin_call(stream, path, timeout_seconds, error);
    if (status != STATUS_OK) {
        stream_free(stream);
        return status;
    }
    pthread_mutex_lock(&stream->mutex);
    bool queued = !request || outbox_push(&stream->outbox, wire_pack(request));
    if (request) {
        stream->send_closing = true;
        send_next(stream);
    }
    read_next(stream);
    pthread_mutex_unlock(&stream->mutex);
    if (!queued) {
        rpc_stream_close(stream);
        return refuse_memory(path, error);
    }
    *opened = stream;
    return STATUS_OK;
}

/* Holding the mutex. False: the time is up. */
static bool wait_until(struct rpc_stream *stream, double timeout_seconds, const struct timespec *until)
{
    if (isinf(timeout_seconds))
        return !pthread_cond_wait(&stream->changed, &stream->mutex);
    return clock_wait_until(&stream->changed, &stream->mutex, until);
}

/* Holding the mutex. NULL: the message is malformed, and the call is cancelled for it. */
static ProtobufCMessage *take_message(struct rpc_stream *stream)
{
    ProtobufCMessage *message = wire_unpack(stream->ready, stream->response_type);
    grpc_byte_buffer_destroy(stream->ready);
    stream->ready = NULL;
    if (message) {
        read_next(stream);
        return message;
    }
    stream->malformed = true;
    stream->no_more = true;
    grpc_call_cancel(stream->call, NULL);
    return NULL;
}

/* Holding the mutex. Looks without waiting. */
static enum rpc_read look(struct rpc_stream *stream, ProtobufCMessage **message)
{
    if (stream->ready && (*message = take_message(stream)))
        return RPC_READ_MESSAGE;
    return stream->no_more && stream->ended ? RPC_READ_END : RPC_READ_TIMEOUT;
}

enum rpc_read rpc_stream_read(struct rpc_stream *stream, double timeout_seconds, ProtobufCMessage **message)
{
    struct timespec until = clock_after(timeout_seconds);
    pthread_mutex_lock(&stream->mutex);
    enum rpc_read result = look(stream, message);
    while (result == RPC_READ_TIMEOUT && wait_until(stream, timeout_seconds, &until))
        result = look(stream, message);
    pthread_mutex_unlock(&stream->mutex);
    return result;
}

void rpc_stream_notify(struct rpc_stream *stream, void (*notify)(void *context), void *context)
{
    pthread_mutex_lock(&stream->mutex);
    stream->notify = notify;
    stream->notify_context = context;
    notify_reader(stream);
    pthread_mutex_unlock(&stream->mutex);
}

static void discard_messages(struct rpc_stream *stream)
{
    ProtobufCMessage *message;
    while (rpc_stream_read(stream, INFINITY, &message) == RPC_READ_MESSAGE)
        protobuf_c_message_free_unpacked(message, NULL);
}

/* Looks for a reason that gRPC does not tell. Not holding the stream's mutex: it may take seconds. */
static void explain(struct rpc_stream *stream, struct error *error)
{
    struct rpc_channel *channel = stream->channel;
    pthread_mutex_lock(&channel->mutex);
    tls_probe_explain(&channel->security, channel->target, &channel->address, error);
    pthread_mutex_unlock(&channel->mutex);
}

enum status rpc_stream_status(struct rpc_stream *stream, struct error *error)
{
    discard_messages(stream); /* the status comes behind them */
    pthread_mutex_lock(&stream->mutex);
    enum status status = wire_status(stream->code);
    if (stream->malformed) {
        status =
            error_set(error, STATUS_INTERNAL, "the server's message is no %s", stream->response_type->name);
    } else if (stream->refused) {
        status = error_set(error, STATUS_INTERNAL, "gRPC does not take this call");
    } else if (status != STATUS_OK) {
        char *text = wire_text(stream->text);
        error_set(error, status, "%s", text ? text : "");
        free(text);
        if (error)
            error->retry_after_ms = metadata_retry_after_ms(&stream->trailing_metadata);
    }
    pthread_mutex_unlock(&stream->mutex);
    if (status == STATUS_UNAVAILABLE)
        explain(stream, error);
    return status;
}

enum status rpc_stream_write(struct rpc_stream *stream, const ProtobufCMessage *message)
{
    enum status status = STATUS_OK;
    pthread_mutex_lock(&stream->mutex);
    if (stream->ended || stream->send_closing)
        status = STATUS_CANCELLED;
    else if (stream->outbox.size_bytes > MAX_QUEUED_BYTES)
        status = STATUS_RESOURCE_EXHAUSTED;
    else if (!outbox_push(&stream->outbox, wire_pack(message)))
        status = STATUS_RESOURCE_EXHAUSTED;
    send_next(stream);
    pthread_mutex_unlock(&stream->mutex);
    return status;
}

void rpc_stream_close_send(struct rpc_stream *stream)
{
    pthread_mutex_lock(&stream->mutex);
    stream->send_closing = true;
    send_next(stream);
    pthread_mutex_unlock(&stream->mutex);
}

void rpc_stream_cancel(struct rpc_stream *stream)
{
    grpc_call_cancel(stream->call, NULL);
}

void rpc_stream_close(struct rpc_stream *stream)
{
    if (!stream)
        return;
    rpc_stream_cancel(stream);
    pthread_mutex_lock(&stream->mutex);
    while (stream->n_batches > 0)
        pthread_cond_wait(&stream->changed, &stream->mutex);
    pthread_mutex_unlock(&stream->mutex);
    stream_free(stream);
}
