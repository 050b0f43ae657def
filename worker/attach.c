#include "worker/attach.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "common/log.h"
#include "common/rpc/client.h"
#include "proto/replica.pb-c.h"

typedef Millrace__Replica__V1__FromReplica from_replica; /* the generated names are long */
typedef Millrace__Replica__V1__ToReplica to_replica;

static const char attach_path[] = "/millrace.replica.v1.Replicas/Attach";

struct attach {
    struct attach_options options;
    struct mailbox *mailbox;
    struct rpc_channel *channel;
    pthread_t thread;
    pthread_mutex_t
        lock; /* guards stream and ending; held across a write, so that the stream cannot go meanwhile */
    pthread_cond_t ended;      /* ending was set */
    struct rpc_stream *stream; /* NULL while there is no line */
    uint32_t line;             /* number of the line; counts up */
    bool ending;
    atomic_bool answered; /* since the line was opened: the coordinator said something */
};

/* Sends what concerns a sequence of line `line`, unless that line is gone. */
static void write_to_line(struct attach *attach, uint32_t line, const from_replica *message)
{
    pthread_mutex_lock(&attach->lock);
    if (attach->stream && attach->line == line)
        rpc_stream_write(attach->stream, &message->base); /* a line that broke is seen by the reader */
    pthread_mutex_unlock(&attach->lock);
}

static void write_hello(struct rpc_stream *stream, const struct attach_options *options)
{
    Millrace__Replica__V1__Hello hello = MILLRACE__REPLICA__V1__HELLO__INIT;
    hello.replica = (char *)options->replica;
    hello.version = (char *)MILLRACE_VERSION;
    hello.model_fingerprint = (char *)options->fingerprint;
    hello.ranks = (uint32_t)options->n_ranks;
    hello.backend = (char *)options->backend;
    from_replica message = MILLRACE__REPLICA__V1__FROM_REPLICA__INIT;
    message.kind_case = MILLRACE__REPLICA__V1__FROM_REPLICA__KIND_HELLO;
    message.hello = &hello;
    rpc_stream_write(stream, &message.base);
}

static void write_ready(struct rpc_stream *stream, const struct attach_options *options)
{
    Millrace__Replica__V1__Ready ready = MILLRACE__REPLICA__V1__READY__INIT;
    ready.max_sequences = (uint32_t)options->limits.max_sequences;
    ready.max_batch_tokens = (uint32_t)options->limits.max_rows;
    ready.load_seconds = options->load_seconds;
    from_replica message = MILLRACE__REPLICA__V1__FROM_REPLICA__INIT;
    message.kind_case = MILLRACE__REPLICA__V1__FROM_REPLICA__KIND_READY;
    message.ready = &ready;
    rpc_stream_write(stream, &message.base);
}

static void sink_report(void *context, const struct sequence_report *report, double step_seconds)
{
    Millrace__Replica__V1__Report wire = MILLRACE__REPLICA__V1__REPORT__INIT;
    wire.sequence = report->number;
    wire.step = report->step;
    wire.positions = (uint32_t *)report->positions;
    wire.n_positions = report->n_changed;
    wire.ids = (uint32_t *)report->ids;
    wire.n_ids = report->n_changed;
    wire.step_ms = step_seconds * 1e3;
    wire.done = report->done;
    wire.log_probability = report->log_probability;
    wire.scored = report->n_scored;
    wire.until_jump = (float *)report->until_jump;
    wire.n_until_jump = report->until_jump ? report->length : 0;
    from_replica message = MILLRACE__REPLICA__V1__FROM_REPLICA__INIT;
    message.kind_case = MILLRACE__REPLICA__V1__FROM_REPLICA__KIND_REPORT;
    message.report = &wire;
    write_to_line(context, report->line, &message);
}

static void sink_rejected(void *context, uint64_t number, uint32_t line, const struct error *error)
{
    Millrace__Replica__V1__Rejected wire = MILLRACE__REPLICA__V1__REJECTED__INIT;
    wire.sequence = number;
    wire.status = (uint32_t)error->status;
    wire.reason = (char *)error->text;
    from_replica message = MILLRACE__REPLICA__V1__FROM_REPLICA__INIT;
    message.kind_case = MILLRACE__REPLICA__V1__FROM_REPLICA__KIND_REJECTED;
    message.rejected = &wire;
    write_to_line(context, line, &message);
}

static void sink_drained(void *context)
{
    (void)context;
    log_info("drained: everything that ran here is reported");
}

struct engine_sink attach_sink(struct attach *attach)
{
    struct engine_sink sink = {
        .context = attach, .report = sink_report, .rejected = sink_rejected, .drained = sink_drained};
    return sink;
}

/* Takes the submission out of the message, so that it outlives it. */
static void post_submission(struct attach *attach, to_replica *message)
{
    struct mail mail = {.kind = MAIL_SUBMIT,
                        .number = message->submit->sequence,
                        .line = attach->line, /* this thread alone changes it */
                        .submission = message->submit};
    if (mailbox_post(attach->mailbox, mail)) {
        message->submit = NULL;
        message->kind_case = MILLRACE__REPLICA__V1__TO_REPLICA__KIND__NOT_SET;
        return;
    }
    struct error error;
    error_set(&error, STATUS_RESOURCE_EXHAUSTED, "the replica has no memory to queue the sequence");
    sink_rejected(attach, mail.number, mail.line, &error);
}

static void handle(struct attach *attach, to_replica *message)
{
    switch (message->kind_case) {
    case MILLRACE__REPLICA__V1__TO_REPLICA__KIND_SUBMIT:
        post_submission(attach, message);
        break;
    case MILLRACE__REPLICA__V1__TO_REPLICA__KIND_CANCEL:
        mailbox_post(attach->mailbox,
                     (struct mail){.kind = MAIL_CANCEL, .number = message->cancel->sequence});
        break;
    case MILLRACE__REPLICA__V1__TO_REPLICA__KIND_DRAIN:
        mailbox_post(attach->mailbox, (struct mail){.kind = MAIL_DRAIN});
        break;
    case MILLRACE__REPLICA__V1__TO_REPLICA__KIND_WELCOME:
        atomic_store(&attach->answered, true);
        log_info("attached to the coordinator at %s as %s", attach->options.coordinator,
                 attach->options.replica);
        break;
    default: /* a newer coordinator's message: nothing that this replica promised to understand */
        log_warning("a message of an unknown kind came from the coordinator; it was ignored");
        break;
    }
}

static bool is_ending(struct attach *attach)
{
    pthread_mutex_lock(&attach->lock);
    bool ending = attach->ending;
    pthread_mutex_unlock(&attach->lock);
    return ending;
}

/* Reads until the line ends; a coordinator that does not end it after we said that we are ending gets some seconds. */
static void serve(struct attach *attach, struct rpc_stream *stream)
{
    const double look_seconds = 0.5;
    int patience = 10; /* looks */
    ProtobufCMessage *message;
    for (;;) {
        enum rpc_read read = rpc_stream_read(stream, look_seconds, &message);
        if (read == RPC_READ_END || (read == RPC_READ_TIMEOUT && is_ending(attach) && patience-- == 0))
            return;
        if (read == RPC_READ_MESSAGE) {
            handle(attach, (to_replica *)message);
            protobuf_c_message_free_unpacked(message, NULL);
        }
    }
}

/* Publishes the line to the sink, or takes it back. false: we are ending and it was not published. */
static bool publish(struct attach *attach, struct rpc_stream *stream)
{
    pthread_mutex_lock(&attach->lock);
    bool go_on = !attach->ending || !stream;
    if (go_on)
        attach->stream = stream;
    if (go_on && stream)
        attach->line++;
    pthread_mutex_unlock(&attach->lock);
    return go_on;
}

static enum status open_line(const struct attach_options *options, struct rpc_channel *channel,
                             struct rpc_stream **stream, struct error *error)
{
    enum status status = rpc_stream_open(
        channel, attach_path, NULL, &millrace__replica__v1__to_replica__descriptor, INFINITY, stream, error);
    if (status == STATUS_OK)
        write_hello(*stream, options);
    return status;
}

/* One line, from its opening to its end. */
static void hold_line(struct attach *attach)
{
    struct error error = {0};
    struct rpc_stream *stream;
    atomic_store(&attach->answered, false);
    if (open_line(&attach->options, attach->channel, &stream, &error) != STATUS_OK) {
        log_warning("cannot open a line to the coordinator: %s", error.text);
        return;
    }
    write_ready(stream, &attach->options);
    if (publish(attach, stream)) {
        serve(attach, stream);
        publish(attach, NULL);
    }
    rpc_stream_cancel(stream); /* changes nothing where it ended by itself */
    enum status status = rpc_stream_status(stream, &error);
    if (!is_ending(attach)) {
        mailbox_post(attach->mailbox, (struct mail){.kind = MAIL_CANCEL_ALL});
        log_warning("the line to the coordinator ended: %s%s%s", status_name(status), status ? ": " : "",
                    status ? error.text : "");
    }
    rpc_stream_close(stream);
}

/* Waits, unless we are ending. Returns whether to go on. */
static bool pause_before_retry(struct attach *attach, double seconds)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (time_t)seconds;
    until.tv_nsec += (long)((seconds - floor(seconds)) * 1e9);
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_mutex_lock(&attach->lock);
    int waited = 0;
    while (!attach->ending && waited == 0)
        waited = pthread_cond_timedwait(&attach->ended, &attach->lock, &until);
    bool go_on = !attach->ending;
    pthread_mutex_unlock(&attach->lock);
    return go_on;
}

static void *attach_main(void *argument)
{
    const double least = 0.2, most = 5;
    struct attach *attach = argument;
    double pause = least;
    do {
        hold_line(attach);
        pause = atomic_load(&attach->answered) ? least : fmin(2 * pause, most);
    } while (pause_before_retry(attach, pause));
    return NULL;
}

enum status attach_start(const struct attach_options *options, struct mailbox *mailbox,
                         struct attach **attach, struct error *error)
{
    struct attach *made = calloc(1, sizeof *made);
    if (!made)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory to attach to the coordinator");
    made->options = *options;
    made->mailbox = mailbox;
    enum status status = rpc_channel_open(options->coordinator, NULL, &made->channel, error);
    if (status != STATUS_OK) {
        free(made);
        return status;
    }
    pthread_mutex_init(&made->lock, NULL);
    pthread_cond_init(&made->ended, NULL);
    if (pthread_create(&made->thread, NULL, attach_main, made) != 0) {
        rpc_channel_close(made->channel);
        free(made);
        return error_set(error, STATUS_RESOURCE_EXHAUSTED,
                         "cannot start the thread that attaches to the coordinator");
    }
    *attach = made;
    return STATUS_OK;
}

void attach_end(struct attach *attach)
{
    if (!attach)
        return;
    pthread_mutex_lock(&attach->lock);
    attach->ending = true;
    pthread_cond_signal(&attach->ended);
    if (attach->stream)
        rpc_stream_close_send(attach->stream); /* the coordinator ends the call when it has read everything */
    pthread_mutex_unlock(&attach->lock);
    pthread_join(attach->thread, NULL);
    rpc_channel_close(attach->channel);
    pthread_cond_destroy(&attach->ended);
    pthread_mutex_destroy(&attach->lock);
    free(attach);
}

void attach_report_failure(const struct attach_options *options, int rank, const struct error *error)
{
    const double patience_seconds = 5;
    struct rpc_channel *channel;
    struct rpc_stream *stream;
    struct error ignored;
    if (rpc_channel_open(options->coordinator, NULL, &channel, &ignored) != STATUS_OK)
        return;
    if (open_line(options, channel, &stream, &ignored) == STATUS_OK) {
        Millrace__Replica__V1__LoadFailed failed = MILLRACE__REPLICA__V1__LOAD_FAILED__INIT;
        failed.rank = (uint32_t)rank;
        failed.status = (uint32_t)error->status;
        failed.reason = (char *)error->text;
        from_replica message = MILLRACE__REPLICA__V1__FROM_REPLICA__INIT;
        message.kind_case = MILLRACE__REPLICA__V1__FROM_REPLICA__KIND_FAILED;
        message.failed = &failed;
        rpc_stream_write(stream, &message.base);
        rpc_stream_close_send(stream);
        ProtobufCMessage *answer;
        while (rpc_stream_read(stream, patience_seconds, &answer) == RPC_READ_MESSAGE)
            protobuf_c_message_free_unpacked(answer, NULL);
        rpc_stream_close(stream);
    }
    rpc_channel_close(channel);
}
