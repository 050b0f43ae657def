#include "bench/scale/replicas.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "proto/replica.pb-c.h"

enum { CHANGES = 8, STACK_BYTES = 256 << 10 };

#define PULSE_SECONDS 1.0
#define LOOK_SECONDS 0.2 /* how soon a reader sees that it is to stop */
#define WELCOME_SECONDS 60.0

struct fake_run {
    uint64_t ticket;
    uint32_t step, steps, length;
};

struct fake_replica {
    struct fake_replicas *all;
    struct rpc_channel *channel;
    struct rpc_stream *stream;
    pthread_t thread;
    bool started;
    char name[32];

    struct fake_run
        *runs; /* [n] in the order of their coming: the first of them, as many as fit, take the step */
    int n, capacity;
    uint64_t batch_step;
    double next_step, next_pulse;
};

struct fake_replicas {
    struct fake_options options;
    struct fake_replica *replicas;
    atomic_bool stopping;
    atomic_ulong n_frames;
    atomic_int n_ended, n_welcomed;
};

/* ---- to the coordinator ---- */

static void send_kind(struct rpc_stream *stream, Millrace__Replica__V1__FromReplica__KindCase kind,
                      void *content)
{
    Millrace__Replica__V1__FromReplica message = MILLRACE__REPLICA__V1__FROM_REPLICA__INIT;
    message.kind_case = kind;
    message.hello = content; /* a union of pointers */
    rpc_stream_write(stream, &message.base);
}

static void send_hello(struct fake_replica *replica)
{
    Millrace__Replica__V1__Hello hello = MILLRACE__REPLICA__V1__HELLO__INIT;
    hello.replica = replica->name;
    hello.version = (char *)MILLRACE_VERSION;
    hello.model_fingerprint = (char *)replica->all->options.fingerprint;
    hello.ranks = 1;
    hello.backend = (char *)"fake";
    send_kind(replica->stream, MILLRACE__REPLICA__V1__FROM_REPLICA__KIND_HELLO, &hello);
}

static void send_pulse(struct fake_replica *replica)
{
    Millrace__Replica__V1__Pulse pulse = MILLRACE__REPLICA__V1__PULSE__INIT;
    pulse.progress = (uint64_t)(1e3 * clock_seconds());
    pulse.steps = pulse.passes = replica->batch_step;
    send_kind(replica->stream, MILLRACE__REPLICA__V1__FROM_REPLICA__KIND_PULSE, &pulse);
}

static void send_ready(struct fake_replica *replica)
{
    const struct fake_options *options = &replica->all->options;
    Millrace__Replica__V1__Ready ready = MILLRACE__REPLICA__V1__READY__INIT;
    ready.max_sequences = ready.held_sequences = (uint32_t)options->max_sequences;
    ready.max_batch_tokens = ready.held_tokens = (uint32_t)options->max_tokens;
    send_kind(replica->stream, MILLRACE__REPLICA__V1__FROM_REPLICA__KIND_READY, &ready);
}

static void send_report(struct fake_replica *replica, struct fake_run *run, uint32_t batch_tokens)
{
    uint32_t positions[CHANGES], ids[CHANGES];
    uint32_t n = run->length < CHANGES ? run->length : CHANGES, stride = run->length / n;
    Millrace__Replica__V1__Report report = MILLRACE__REPLICA__V1__REPORT__INIT;
    run->step++;
    for (uint32_t i = 0; i < n; i++) {
        positions[i] = i * stride;
        ids[i] = 10 + (run->step + i) % 100;
    }
    report.sequence = run->ticket;
    report.step = run->step;
    report.n_positions = report.n_ids = n;
    report.positions = positions;
    report.ids = ids;
    report.step_ms = fmax(1e3 * replica->all->options.step_seconds, 0.1);
    report.done = run->step == run->steps;
    report.batch_step = replica->batch_step;
    report.batch_tokens = batch_tokens;
    send_kind(replica->stream, MILLRACE__REPLICA__V1__FROM_REPLICA__KIND_REPORT, &report);
    atomic_fetch_add_explicit(&replica->all->n_frames, 1, memory_order_relaxed);
}

/* ---- steps ---- */

/* How many of the first runs fit into one batch; *tokens: their positions together. */
static int batch_of(const struct fake_replica *replica, uint32_t *tokens)
{
    const struct fake_options *options = &replica->all->options;
    int n = 0;
    *tokens = 0;
    while (n < replica->n && n < options->max_sequences &&
           *tokens + replica->runs[n].length <= (uint32_t)options->max_tokens)
        *tokens += replica->runs[n++].length;
    return n;
}

static void take_step(struct fake_replica *replica)
{
    uint32_t tokens;
    int n = batch_of(replica, &tokens), n_left = 0;
    replica->batch_step++;
    for (int i = 0; i < replica->n; i++) {
        struct fake_run *run = &replica->runs[i];
        if (i < n)
            send_report(replica, run, tokens);
        if (run->step < run->steps)
            replica->runs[n_left++] = *run;
    }
    replica->n = n_left;
}

static void answer_at_once(struct fake_replica *replica, struct fake_run run)
{
    while (run.step < run.steps) {
        replica->batch_step++;
        send_report(replica, &run, run.length);
    }
}

static void add_run(struct fake_replica *replica, const Millrace__Replica__V1__Submit *submit)
{
    struct fake_run run = {submit->sequence, submit->step, submit->steps, (uint32_t)submit->n_ids};
    if (replica->all->options.step_seconds <= 0) {
        answer_at_once(replica, run);
        return;
    }
    if (replica->n == replica->capacity) {
        replica->capacity = replica->capacity ? 2 * replica->capacity : 16;
        replica->runs = realloc(replica->runs, (size_t)replica->capacity * sizeof *replica->runs);
        if (!replica->runs)
            abort();
    }
    if (!replica->n)
        replica->next_step = clock_seconds() + replica->all->options.step_seconds;
    replica->runs[replica->n++] = run;
}

static void cancel_run(struct fake_replica *replica, uint64_t ticket)
{
    int n = 0;
    for (int i = 0; i < replica->n; i++) {
        if (replica->runs[i].ticket != ticket)
            replica->runs[n++] = replica->runs[i];
    }
    replica->n = n;
}

/* ---- from the coordinator ---- */

static void handle(struct fake_replica *replica, const Millrace__Replica__V1__ToReplica *message)
{
    switch (message->kind_case) {
    case MILLRACE__REPLICA__V1__TO_REPLICA__KIND_WELCOME:
        send_ready(replica);
        atomic_fetch_add(&replica->all->n_welcomed, 1);
        break;
    case MILLRACE__REPLICA__V1__TO_REPLICA__KIND_SUBMIT:
        add_run(replica, message->submit);
        break;
    case MILLRACE__REPLICA__V1__TO_REPLICA__KIND_CANCEL:
        cancel_run(replica, message->cancel->sequence);
        break;
    default:
        break;
    }
}

/* What is due; returns the seconds until something is due again. */
static double do_due(struct fake_replica *replica)
{
    double now = clock_seconds(), step_seconds = replica->all->options.step_seconds;
    if (now >= replica->next_pulse) {
        send_pulse(replica);
        replica->next_pulse = now + PULSE_SECONDS;
    }
    if (replica->n && now >= replica->next_step) {
        take_step(replica);
        replica->next_step = fmax(replica->next_step + step_seconds, now);
    }
    double next = replica->n ? fmin(replica->next_pulse, replica->next_step) : replica->next_pulse;
    return fmin(fmax(next - now, 0), LOOK_SECONDS);
}

static void *replica_main(void *argument)
{
    struct fake_replica *replica = argument;
    ProtobufCMessage *message;
    enum rpc_read read = RPC_READ_TIMEOUT;
    while (!replica->all->stopping && read != RPC_READ_END) {
        read = rpc_stream_read(replica->stream, do_due(replica), &message);
        if (read != RPC_READ_MESSAGE)
            continue;
        handle(replica, (const Millrace__Replica__V1__ToReplica *)message);
        protobuf_c_message_free_unpacked(message, NULL);
    }
    if (read == RPC_READ_END)
        atomic_fetch_add(&replica->all->n_ended, 1);
    return NULL;
}

/* ---- all of them ---- */

static enum status start_one(struct fake_replica *replica, struct error *error)
{
    pthread_attr_t attributes;
    enum status status = rpc_channel_open(replica->all->options.address, NULL, &replica->channel, error);
    if (status == STATUS_OK)
        status = rpc_stream_open(replica->channel, "/millrace.replica.v1.Replicas/Attach", NULL,
                                 &millrace__replica__v1__to_replica__descriptor, INFINITY, &replica->stream,
                                 error);
    if (status != STATUS_OK)
        return status;
    send_hello(replica);
    replica->next_pulse = clock_seconds();
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    replica->started = !pthread_create(&replica->thread, &attributes, replica_main, replica);
    pthread_attr_destroy(&attributes);
    return replica->started ? STATUS_OK
                            : error_set(error, STATUS_RESOURCE_EXHAUSTED, "no thread for %s", replica->name);
}

static enum status wait_until_welcome(const struct fake_replicas *replicas, struct error *error)
{
    double until = clock_seconds() + WELCOME_SECONDS;
    while (replicas->n_welcomed < replicas->options.n_replicas) {
        if (replicas->n_ended || clock_seconds() > until)
            return error_set(error, STATUS_UNAVAILABLE, "only %d of %d replicas were welcomed",
                             replicas->n_welcomed, replicas->options.n_replicas);
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    }
    return STATUS_OK;
}

enum status fake_replicas_start(const struct fake_options *options, struct fake_replicas **replicas,
                                struct error *error)
{
    struct fake_replicas *all = calloc(1, sizeof *all);
    enum status status = STATUS_OK;
    if (all)
        all->replicas = calloc((size_t)options->n_replicas, sizeof *all->replicas);
    if (!all || !all->replicas) {
        free(all);
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for %d replicas", options->n_replicas);
    }
    all->options = *options;
    for (int i = 0; i < options->n_replicas && status == STATUS_OK; i++) {
        all->replicas[i].all = all;
        snprintf(all->replicas[i].name, sizeof all->replicas[i].name, "fake%d", i);
        status = start_one(&all->replicas[i], error);
    }
    if (status == STATUS_OK)
        status = wait_until_welcome(all, error);
    if (status == STATUS_OK)
        *replicas = all;
    else
        fake_replicas_stop(all);
    return status;
}

void fake_replicas_stop(struct fake_replicas *replicas)
{
    if (!replicas)
        return;
    replicas->stopping = true;
    for (int i = 0; i < replicas->options.n_replicas; i++) {
        struct fake_replica *replica = &replicas->replicas[i];
        if (replica->started)
            pthread_join(replica->thread, NULL);
        rpc_stream_close(replica->stream);
        rpc_channel_close(replica->channel);
        free(replica->runs);
    }
    free(replicas->replicas);
    free(replicas);
}

unsigned long fake_replicas_frames(const struct fake_replicas *replicas)
{
    return replicas->n_frames;
}

int fake_replicas_lost(const struct fake_replicas *replicas)
{
    return replicas->n_ended;
}
