#include "bench/scale/replicas.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load/ready.h"
#include "common/clock.h"
#include "proto/replica.pb-c.h"

enum { CHANGES = 8, MAX_CREWS = 8 };

#define PULSE_SECONDS 1.0
#define LOOK_SECONDS 0.2 /* how soon a reader sees that it is to stop */
#define WELCOME_SECONDS 60.0

struct fake_run {
    uint64_t ticket;
    uint32_t step, steps, length;
};

struct fake_replica {
    struct ready_item ready; /* first: what ready_take returns is the replica */
    struct fake_replicas *all;
    struct rpc_channel *channel;
    struct rpc_stream *stream;
    bool ended;
    char name[32];

    struct fake_run
        *runs; /* [n] in the order of their coming: the first of them, as many as fit, take the step */
    int n, capacity;
    uint64_t batch_step;
    double next_step, next_pulse;
};

/* A thread, and every n-th replica, which it serves. */
struct crew {
    struct fake_replicas *all;
    pthread_t thread;
    int index;
    bool started;
    struct ready_list ready;
};

struct fake_replicas {
    struct fake_options options;
    struct fake_replica *replicas;
    struct crew crews[MAX_CREWS];
    atomic_bool stopping;
    atomic_ulong n_frames;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    int n_ended, n_welcomed;
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

static void count(struct fake_replicas *all, int *counter)
{
    pthread_mutex_lock(&all->lock);
    ++*counter;
    pthread_cond_broadcast(&all->changed);
    pthread_mutex_unlock(&all->lock);
}

static void handle(struct fake_replica *replica, const Millrace__Replica__V1__ToReplica *message)
{
    switch (message->kind_case) {
    case MILLRACE__REPLICA__V1__TO_REPLICA__KIND_WELCOME:
        send_ready(replica);
        count(replica->all, &replica->all->n_welcomed);
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

/* Takes all that came. */
static void attend(struct fake_replica *replica)
{
    ProtobufCMessage *message;
    enum rpc_read read = RPC_READ_TIMEOUT;
    while (!replica->ended && (read = rpc_stream_read(replica->stream, 0, &message)) == RPC_READ_MESSAGE) {
        handle(replica, (const Millrace__Replica__V1__ToReplica *)message);
        protobuf_c_message_free_unpacked(message, NULL);
    }
    if (read != RPC_READ_END)
        return;
    replica->ended = true;
    count(replica->all, &replica->all->n_ended);
}

/* Serves every replica of the crew that has a time to keep; returns the seconds until the next has. */
static double do_all_due(const struct crew *crew)
{
    double seconds = LOOK_SECONDS;
    for (int i = crew->index; i < crew->all->options.n_replicas; i += MAX_CREWS) {
        if (!crew->all->replicas[i].ended)
            seconds = fmin(seconds, do_due(&crew->all->replicas[i]));
    }
    return seconds;
}

static void *crew_main(void *argument)
{
    struct crew *crew = argument;
    while (!crew->all->stopping) {
        struct ready_item *item = ready_take(&crew->ready, do_all_due(crew));
        for (; item; item = ready_take(&crew->ready, 0))
            attend((struct fake_replica *)item);
    }
    return NULL;
}

/* ---- all of them ---- */

static enum status open_replica(struct fake_replica *replica, struct error *error)
{
    enum status status = rpc_channel_open(replica->all->options.address, NULL, &replica->channel, error);
    if (status == STATUS_OK)
        status = rpc_stream_open(replica->channel, "/millrace.replica.v1.Replicas/Attach", NULL,
                                 &millrace__replica__v1__to_replica__descriptor, INFINITY, &replica->stream,
                                 error);
    if (status != STATUS_OK)
        return status;
    send_hello(replica);
    replica->next_pulse = clock_seconds();
    rpc_stream_notify(replica->stream, ready_mark, &replica->ready);
    return STATUS_OK;
}

static enum status start_crew(struct crew *crew, struct error *error)
{
    crew->started = !pthread_create(&crew->thread, NULL, crew_main, crew);
    return crew->started ? STATUS_OK
                         : error_set(error, STATUS_RESOURCE_EXHAUSTED, "no thread for the replicas");
}

static enum status wait_until_welcome(struct fake_replicas *replicas, struct error *error)
{
    struct timespec until = clock_after(WELCOME_SECONDS);
    int wanted = replicas->options.n_replicas;
    pthread_mutex_lock(&replicas->lock);
    while (!replicas->n_ended && replicas->n_welcomed < wanted &&
           clock_wait_until(&replicas->changed, &replicas->lock, &until)) {
    }
    int n = replicas->n_welcomed;
    pthread_mutex_unlock(&replicas->lock);
    return n == wanted
               ? STATUS_OK
               : error_set(error, STATUS_UNAVAILABLE, "only %d of %d replicas were welcomed", n, wanted);
}

static struct fake_replicas *create(const struct fake_options *options)
{
    struct fake_replicas *all = calloc(1, sizeof *all);
    struct fake_replica *replicas = calloc((size_t)options->n_replicas, sizeof *replicas);
    if (!all || !replicas) {
        free(all);
        free(replicas);
        return NULL;
    }
    all->options = *options;
    all->replicas = replicas;
    pthread_mutex_init(&all->lock, NULL);
    clock_condition_init(&all->changed);
    for (int i = 0; i < MAX_CREWS; i++) {
        all->crews[i] = (struct crew){.all = all, .index = i};
        ready_init(&all->crews[i].ready);
    }
    for (int i = 0; i < options->n_replicas; i++) {
        replicas[i] = (struct fake_replica){.ready = {.list = &all->crews[i % MAX_CREWS].ready}, .all = all};
        snprintf(replicas[i].name, sizeof replicas[i].name, "fake%d", i);
    }
    return all;
}

enum status fake_replicas_start(const struct fake_options *options, struct fake_replicas **replicas,
                                struct error *error)
{
    struct fake_replicas *all = create(options);
    enum status status = STATUS_OK;
    if (!all)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for %d replicas", options->n_replicas);
    for (int i = 0; i < options->n_replicas && status == STATUS_OK; i++)
        status = open_replica(&all->replicas[i], error);
    for (int i = 0; i < MAX_CREWS && status == STATUS_OK; i++)
        status = start_crew(&all->crews[i], error);
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
    for (int i = 0; i < MAX_CREWS; i++) {
        if (replicas->crews[i].started)
            pthread_join(replicas->crews[i].thread, NULL);
    }
    for (int i = 0; i < replicas->options.n_replicas; i++) {
        struct fake_replica *replica = &replicas->replicas[i];
        rpc_stream_close(replica->stream);
        rpc_channel_close(replica->channel);
        free(replica->runs);
    }
    for (int i = 0; i < MAX_CREWS; i++)
        ready_destroy(&replicas->crews[i].ready);
    pthread_cond_destroy(&replicas->changed);
    pthread_mutex_destroy(&replicas->lock);
    free(replicas->replicas);
    free(replicas);
}

unsigned long fake_replicas_frames(const struct fake_replicas *replicas)
{
    return replicas->n_frames;
}

int fake_replicas_lost(struct fake_replicas *replicas)
{
    pthread_mutex_lock(&replicas->lock);
    int n = replicas->n_ended;
    pthread_mutex_unlock(&replicas->lock);
    return n;
}
