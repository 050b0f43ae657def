#include "worker/engine/attach.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/rpc/client.h"
#include "proto/replica.pb-c.h"
#include "worker/engine/request_log.h"

typedef Millrace__Replica__V1__FromReplica from_replica; /* the generated names are long */
typedef Millrace__Replica__V1__ToReplica to_replica;

static const char attach_path[] = "/millrace.replica.v1.Replicas/Attach";

#define PULSE_SECONDS 1.0
#define LOOK_SECONDS 0.5        /* how soon the thread sees that it is to end */
#define LAST_WORDS_SECONDS 5    /* that the coordinator has to end the connection after we said our last */
#define LEAST_PAUSE_SECONDS 0.2 /* between two tries to connect */
#define MOST_PAUSE_SECONDS 1.0
#define REFUSED_PAUSE_SECONDS \
    30.0 /* after an answer that will be the same until somebody changes something */

/* What the leader says after Hello, as soon as it knows. */
enum news { NEWS_NONE, NEWS_READY, NEWS_FAILED };

struct attach {
    struct attach_options options;
    struct mailbox *mailbox;
    struct request_log log;
    struct rpc_channel *channel;
    pthread_t thread;
    /* Guards all up to `ending`. Held during a write, so that the stream cannot be closed meanwhile. */
    pthread_mutex_t lock;
    pthread_cond_t changed;    /* ending was set, or there is a connection */
    struct rpc_stream *stream; /* NULL while there is no connection */
    uint32_t connection;       /* number of the connection; counts up */
    enum news news;
    struct plan_limits limits; /* NEWS_READY */
    bool run_ahead;
    double load_seconds;
    struct error failure; /* NEWS_FAILED */
    bool ending;
    atomic_bool answered; /* the coordinator has said something on this connection */
};

/* Sends what concerns a sequence that came by the connection of this number, unless that is gone. */
static void write_to_connection(struct attach *attach, uint32_t connection, const from_replica *message)
{
    pthread_mutex_lock(&attach->lock);
    if (attach->stream && attach->connection == connection)
        rpc_stream_write(attach->stream, &message->base); /* the reader sees it when the connection breaks */
    pthread_mutex_unlock(&attach->lock);
}

static void write_hello(struct rpc_stream *stream, const struct attach_options *options)
{
    Millrace__Replica__V1__Hello hello = MILLRACE__REPLICA__V1__HELLO__INIT;
    hello.replica = (char *)options->replica;
    hello.launch = (char *)options->launch;
    hello.version = (char *)MILLRACE_VERSION;
    hello.model_fingerprint = (char *)options->fingerprint;
    hello.ranks = (uint32_t)options->n_ranks;
    hello.backend = (char *)options->backend;
    from_replica message = MILLRACE__REPLICA__V1__FROM_REPLICA__INIT;
    message.kind_case = MILLRACE__REPLICA__V1__FROM_REPLICA__KIND_HELLO;
    message.hello = &hello;
    rpc_stream_write(stream, &message.base);
}

static void write_ready(struct rpc_stream *stream, const struct attach *attach)
{
    Millrace__Replica__V1__Ready ready = MILLRACE__REPLICA__V1__READY__INIT;
    ready.max_sequences = (uint32_t)attach->limits.max_sequences;
    ready.max_batch_tokens = (uint32_t)attach->limits.max_rows;
    ready.held_sequences =
        ready.max_sequences; /* as much again: a batch and these are what the backlog holds */
    ready.held_tokens = ready.max_batch_tokens;
    ready.run_ahead_steps = attach->run_ahead;
    ready.load_seconds = attach->load_seconds;
    from_replica message = MILLRACE__REPLICA__V1__FROM_REPLICA__INIT;
    message.kind_case = MILLRACE__REPLICA__V1__FROM_REPLICA__KIND_READY;
    message.ready = &ready;
    rpc_stream_write(stream, &message.base);
}

static void write_failed(struct rpc_stream *stream, const struct attach *attach)
{
    Millrace__Replica__V1__LoadFailed failed = MILLRACE__REPLICA__V1__LOAD_FAILED__INIT;
    int rank = collective_rank_of(attach->failure.text);
    failed.rank = rank > 0 ? (uint32_t)rank : 0;
    failed.status = (uint32_t)attach->failure.status;
    failed.reason = (char *)attach->failure.text;
    from_replica message = MILLRACE__REPLICA__V1__FROM_REPLICA__INIT;
    message.kind_case = MILLRACE__REPLICA__V1__FROM_REPLICA__KIND_FAILED;
    message.failed = &failed;
    rpc_stream_write(stream, &message.base);
}

static void write_pulse(struct rpc_stream *stream, const struct meters *meters)
{
    Millrace__Replica__V1__Pulse pulse = MILLRACE__REPLICA__V1__PULSE__INIT;
    pulse.progress = meter_read(meters, METER_PROGRESS);
    pulse.steps = meter_read(meters, METER_STEPS);
    pulse.passes = meter_read(meters, METER_PASSES);
    pulse.rows = meter_read(meters, METER_ROWS);
    pulse.needed_rows = meter_read(meters, METER_NEEDED_ROWS);
    pulse.changed = meter_read(meters, METER_CHANGED);
    pulse.matmul_seconds = meter_seconds(meters, METER_MATMUL_NS);
    pulse.attention_seconds = meter_seconds(meters, METER_ATTENTION_NS);
    pulse.head_seconds = meter_seconds(meters, METER_HEAD_NS);
    pulse.communication_seconds = meter_seconds(meters, METER_COMMUNICATION_NS);
    pulse.other_seconds = meter_seconds(meters, METER_OTHER_NS);
    from_replica message = MILLRACE__REPLICA__V1__FROM_REPLICA__INIT;
    message.kind_case = MILLRACE__REPLICA__V1__FROM_REPLICA__KIND_PULSE;
    message.pulse = &pulse;
    rpc_stream_write(stream, &message.base);
}

/* Under the lock. Says what there is to say, if there is a connection. */
static void write_news(struct attach *attach)
{
    if (attach->stream && attach->news == NEWS_READY)
        write_ready(attach->stream, attach);
    else if (attach->stream && attach->news == NEWS_FAILED)
        write_failed(attach->stream, attach);
}

static void sink_report(void *context, const struct sequence_report *report, double step_seconds)
{
    struct attach *attach = context;
    Millrace__Replica__V1__Report wire = MILLRACE__REPLICA__V1__REPORT__INIT;
    wire.sequence = report->number;
    wire.step = report->step;
    wire.positions = (uint32_t *)report->positions;
    wire.n_positions = report->n_changed;
    wire.ids = (uint32_t *)report->ids;
    wire.n_ids = report->n_changed;
    wire.log_probabilities = (float *)report->log_probabilities;
    wire.n_log_probabilities = report->n_changed;
    wire.step_ms = step_seconds * 1e3;
    wire.done = report->done;
    wire.log_probability = report->log_probability;
    wire.scored = report->n_scored;
    wire.forwards = report->forwards;
    wire.batch_step = report->batch_step;
    wire.batch_tokens = (uint32_t)report->batch_tokens;
    wire.until_jump = (float *)report->until_jump;
    wire.n_until_jump = report->until_jump ? report->length : 0;
    from_replica message = MILLRACE__REPLICA__V1__FROM_REPLICA__INIT;
    message.kind_case = MILLRACE__REPLICA__V1__FROM_REPLICA__KIND_REPORT;
    message.report = &wire;
    if (report->done)
        request_log_done(&attach->log, &wire);
    write_to_connection(attach, report->connection, &message);
}

static void sink_rejected(void *context, uint64_t number, uint32_t connection, const struct error *error)
{
    struct attach *attach = context;
    Millrace__Replica__V1__Rejected wire = MILLRACE__REPLICA__V1__REJECTED__INIT;
    wire.sequence = number;
    wire.status = (uint32_t)error->status;
    wire.reason = (char *)error->text;
    from_replica message = MILLRACE__REPLICA__V1__FROM_REPLICA__INIT;
    message.kind_case = MILLRACE__REPLICA__V1__FROM_REPLICA__KIND_REJECTED;
    message.rejected = &wire;
    request_log_rejected(&attach->log, &wire);
    write_to_connection(attach, connection, &message);
}

static void sink_drained(void *context)
{
    (void)context;
    log_info("drained: everything that ran here is reported");
}

void attach_leaving(struct attach *attach)
{
    Millrace__Replica__V1__Leaving leaving = MILLRACE__REPLICA__V1__LEAVING__INIT;
    from_replica message = MILLRACE__REPLICA__V1__FROM_REPLICA__INIT;
    message.kind_case = MILLRACE__REPLICA__V1__FROM_REPLICA__KIND_LEAVING;
    message.leaving = &leaving;
    pthread_mutex_lock(&attach->lock);
    if (attach->stream)
        rpc_stream_write(attach->stream, &message.base);
    pthread_mutex_unlock(&attach->lock);
}

struct engine_sink attach_sink(struct attach *attach)
{
    struct engine_sink sink = {
        .context = attach, .report = sink_report, .rejected = sink_rejected, .drained = sink_drained};
    return sink;
}

/* Takes the submission out of the message, so that it outlives the message. */
static void post_submission(struct attach *attach, to_replica *message)
{
    struct mail mail = {.kind = MAIL_SUBMIT,
                        .number = message->submit->sequence,
                        .connection = attach->connection, /* this thread alone changes it */
                        .submission = message->submit};
    request_log_came(&attach->log, message->submit);
    if (mailbox_post(attach->mailbox, mail)) {
        message->submit = NULL;
        message->kind_case = MILLRACE__REPLICA__V1__TO_REPLICA__KIND__NOT_SET;
        return;
    }
    struct error error;
    error_set(&error, STATUS_RESOURCE_EXHAUSTED, "the replica has no memory to queue the sequence");
    sink_rejected(attach, mail.number, mail.connection, &error);
}

/* false: end this connection. That happens when there is no memory to note that a sequence is cancelled. The
 * sequence must not run on; so everything that came by this connection is dropped, and the coordinator hands
 * it to another replica. */
static bool handle(struct attach *attach, to_replica *message)
{
    bool go_on = true;
    switch (message->kind_case) {
    case MILLRACE__REPLICA__V1__TO_REPLICA__KIND_SUBMIT:
        post_submission(attach, message);
        break;
    case MILLRACE__REPLICA__V1__TO_REPLICA__KIND_CANCEL:
        request_log_dropped(&attach->log, message->cancel->sequence);
        go_on = mailbox_post(attach->mailbox,
                             (struct mail){.kind = MAIL_CANCEL, .number = message->cancel->sequence});
        break;
    case MILLRACE__REPLICA__V1__TO_REPLICA__KIND_DRAIN:
        mailbox_order(attach->mailbox, MAIL_DRAIN);
        break;
    case MILLRACE__REPLICA__V1__TO_REPLICA__KIND_WELCOME:
        atomic_store(&attach->answered, true);
        log_info("attached to the coordinator at %s as %s", attach->options.coordinator,
                 attach->options.replica);
        break;
    default: /* a newer coordinator's message, which this replica never promised to understand */
        log_warning("a message of an unknown kind came from the coordinator; it was ignored");
        break;
    }
    return go_on;
}

static bool is_ending(struct attach *attach)
{
    pthread_mutex_lock(&attach->lock);
    bool ending = attach->ending;
    pthread_mutex_unlock(&attach->lock);
    return ending;
}

/* Reads and sends pulses until the connection ends. Once we are ending, the coordinator has some seconds to
 * end the connection. */
static void serve(struct attach *attach, struct rpc_stream *stream)
{
    double next_pulse = clock_seconds() + PULSE_SECONDS, last_moment = INFINITY;
    for (double now; (now = clock_seconds()) < last_moment;) {
        ProtobufCMessage *message;
        if (now >= next_pulse) {
            write_pulse(stream, attach->options.meters);
            next_pulse = now + PULSE_SECONDS;
        }
        if (isinf(last_moment) && is_ending(attach))
            last_moment = now + LAST_WORDS_SECONDS;
        enum rpc_read read = rpc_stream_read(stream, fmin(LOOK_SECONDS, next_pulse - now), &message);
        if (read == RPC_READ_END)
            return;
        if (read == RPC_READ_MESSAGE) {
            bool go_on = handle(attach, (to_replica *)message);
            protobuf_c_message_free_unpacked(message, NULL);
            if (!go_on)
                return;
        }
    }
}

/* Lets the sink use the stream, or with NULL lets it use none. false: we are ending, and nothing changed. */
static bool publish(struct attach *attach, struct rpc_stream *stream)
{
    pthread_mutex_lock(&attach->lock);
    bool go_on = !attach->ending || !stream;
    if (go_on) {
        attach->stream = stream;
        attach->connection += stream != NULL;
        write_news(attach);
        pthread_cond_broadcast(&attach->changed);
    }
    pthread_mutex_unlock(&attach->lock);
    return go_on;
}

static enum status open_connection(const struct attach_options *options, struct rpc_channel *channel,
                                   struct rpc_stream **stream, struct error *error)
{
    enum status status = rpc_stream_open(
        channel, attach_path, NULL, &millrace__replica__v1__to_replica__descriptor, INFINITY, stream, error);
    if (status == STATUS_OK) {
        write_hello(*stream, options);
        write_pulse(*stream, options->meters); /* from now on it is known that we do */
    }
    return status;
}

/* Opens a connection and serves it until it ends. Returns how it ended. */
static enum status hold_connection(struct attach *attach)
{
    struct error error = {0};
    struct rpc_stream *stream;
    atomic_store(&attach->answered, false);
    if (open_connection(&attach->options, attach->channel, &stream, &error) != STATUS_OK) {
        log_warning("cannot open a connection to the coordinator: %s", error.text);
        return error.status;
    }
    if (publish(attach, stream)) {
        serve(attach, stream);
        publish(attach, NULL);
    }
    rpc_stream_cancel(stream); /* changes nothing where it ended by itself */
    enum status status = rpc_stream_status(stream, &error);
    if (!is_ending(attach)) {
        mailbox_order(attach->mailbox, MAIL_CANCEL_ALL);
        request_log_clear(&attach->log);
        log_warning("the connection to the coordinator ended: %s%s%s", status_name(status),
                    status ? ": " : "", status ? error.text : "");
    }
    rpc_stream_close(stream);
    return status;
}

/* Waits so long, unless we are ending. Returns whether to go on. */
static bool pause_before_retry(struct attach *attach, double seconds)
{
    struct timespec until = clock_after(seconds);
    pthread_mutex_lock(&attach->lock);
    int waited = 0;
    while (!attach->ending && waited == 0)
        waited = pthread_cond_timedwait(&attach->changed, &attach->lock, &until);
    bool go_on = !attach->ending;
    pthread_mutex_unlock(&attach->lock);
    return go_on;
}

/* The coordinator gave this replica up because nothing moved. It would do so again, so this waits until
 * something moves. Returns whether to go on. */
static bool wait_for_progress(struct attach *attach)
{
    const struct attach_options *options = &attach->options;
    uint64_t before = meter_read(options->meters, METER_PROGRESS);
    double start = clock_seconds();
    bool told = !options->hung;
    while (meter_read(options->meters, METER_PROGRESS) == before) {
        if (!told && clock_seconds() - start >= options->hung_seconds) {
            told = true;
            options->hung();
        }
        if (!pause_before_retry(attach, LEAST_PAUSE_SECONDS))
            return false;
    }
    return true;
}

/* Refused for what this replica is: another model, no right to attach, a message that is not understood. */
static bool is_refusal(enum status status)
{
    return status == STATUS_FAILED_PRECONDITION || status == STATUS_INVALID_ARGUMENT ||
           status == STATUS_PERMISSION_DENIED || status == STATUS_UNAUTHENTICATED;
}

/* A coordinator that comes back is found soon; one that refuses is asked ever more rarely. */
static double next_pause(double pause, enum status status, bool answered)
{
    if (is_refusal(status))
        return fmin(2 * pause, REFUSED_PAUSE_SECONDS);
    return answered ? LEAST_PAUSE_SECONDS : fmin(2 * pause, MOST_PAUSE_SECONDS);
}

static void *attach_main(void *argument)
{
    struct attach *attach = argument;
    double pause = LEAST_PAUSE_SECONDS;
    bool go_on = true;
    while (go_on) {
        enum status status = hold_connection(attach);
        pause = next_pause(pause, status, atomic_load(&attach->answered));
        go_on = pause_before_retry(attach, pause);
        if (go_on && status == STATUS_DEADLINE_EXCEEDED)
            go_on = wait_for_progress(attach);
    }
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
    const struct rpc_channel_options channel_options = {.security = options->security};
    enum status status = rpc_channel_open(options->coordinator, &channel_options, &made->channel, error);
    if (status != STATUS_OK) {
        free(made);
        return status;
    }
    request_log_init(&made->log);
    pthread_mutex_init(&made->lock, NULL);
    clock_condition_init(&made->changed);
    if (pthread_create(&made->thread, NULL, attach_main, made) != 0) {
        rpc_channel_close(made->channel);
        request_log_release(&made->log);
        free(made);
        return error_set(error, STATUS_RESOURCE_EXHAUSTED,
                         "cannot start the thread that attaches to the coordinator");
    }
    *attach = made;
    return STATUS_OK;
}

void attach_ready(struct attach *attach, struct plan_limits limits, bool run_ahead, double load_seconds)
{
    pthread_mutex_lock(&attach->lock);
    attach->news = NEWS_READY;
    attach->limits = limits;
    attach->run_ahead = run_ahead;
    attach->load_seconds = load_seconds;
    write_news(attach);
    pthread_mutex_unlock(&attach->lock);
}

/* Under the lock. Says it at once, or on the next connection if that comes within some seconds. */
static void say_why(struct attach *attach, const struct error *why)
{
    struct timespec until = clock_after(LAST_WORDS_SECONDS);
    int waited = 0;
    attach->news = NEWS_FAILED;
    attach->failure = *why;
    write_news(attach);
    while (!attach->stream && !waited)
        waited = pthread_cond_timedwait(&attach->changed, &attach->lock, &until);
}

void attach_end(struct attach *attach, const struct error *why)
{
    if (!attach)
        return;
    pthread_mutex_lock(&attach->lock);
    if (why)
        say_why(attach, why);
    attach->ending = true;
    pthread_cond_broadcast(&attach->changed);
    if (attach->stream)
        rpc_stream_close_send(attach->stream); /* the coordinator ends the call when it has read everything */
    pthread_mutex_unlock(&attach->lock);
    pthread_join(attach->thread, NULL);
    rpc_channel_close(attach->channel);
    pthread_cond_destroy(&attach->changed);
    pthread_mutex_destroy(&attach->lock);
    request_log_release(&attach->log);
    free(attach);
}
