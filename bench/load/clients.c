#include "bench/load/clients.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/clock.h"
#include "common/philox.h"
#include "proto/millrace.pb-c.h"

enum { MAX_CHANNELS = 16, STACK_BYTES = 256 << 10 };

#define LOOK_SECONDS 3.0 /* how soon a client sees that it is to stop */

struct load {
    const struct load_options *options;
    struct rpc_channel *channels[MAX_CHANNELS];
    double start, end;
    pthread_mutex_t lock; /* guards result */
    struct load_result *result;
    size_t capacity;
};

struct client {
    struct load *load;
    pthread_t thread;
    int index;
};

static uint32_t dice(const struct client *client, uint32_t round, uint32_t purpose, uint32_t sides)
{
    return (uint32_t)(philox_uniform((uint64_t)client->index, round, purpose, 0) * sides);
}

static void make_request(const struct client *client, uint32_t round, Millrace__V1__GenerateRequest *request)
{
    static const uint32_t steps[] = {2, 4, 8, 16};
    const struct load_options *options = client->load->options;
    millrace__v1__generate_request__init(request);
    request->length_choice_case = MILLRACE__V1__GENERATE_REQUEST__LENGTH_CHOICE_LENGTH;
    request->length = options->length ? (uint32_t)options->length : 16 + dice(client, round, 0, 497);
    request->steps_choice_case = MILLRACE__V1__GENERATE_REQUEST__STEPS_CHOICE_STEPS;
    request->steps = options->steps ? (uint32_t)options->steps : steps[dice(client, round, 1, 4)];
    request->seed_choice_case = MILLRACE__V1__GENERATE_REQUEST__SEED_CHOICE_SEED;
    request->seed = (uint64_t)client->index << 32 | round;
}

static void add_sample(struct load *load, const struct load_sample *sample)
{
    struct load_result *result = load->result;
    pthread_mutex_lock(&load->lock);
    if (result->n == load->capacity) {
        size_t capacity = load->capacity ? 2 * load->capacity : 1024;
        struct load_sample *more = realloc(result->samples, capacity * sizeof *more);
        if (more) {
            result->samples = more;
            load->capacity = capacity;
        }
    }
    if (result->n < load->capacity && clock_seconds() < load->end)
        result->samples[result->n++] = *sample;
    pthread_mutex_unlock(&load->lock);
}

static void note_failure(struct load *load, const struct error *error)
{
    pthread_mutex_lock(&load->lock);
    if (error->status == STATUS_RESOURCE_EXHAUSTED)
        load->result->n_refused++;
    else
        load->result->n_failed++;
    load->result->failure = *error;
    pthread_mutex_unlock(&load->lock);
}

/* Waits as long as the coordinator says, or a moment if it says nothing, but no longer than the measurement
 * takes. */
static void wait_after(const struct load *load, const struct error *error)
{
    double seconds = error->retry_after_ms > 0 ? error->retry_after_ms / 1e3 : 0.1;
    seconds = fmax(fmin(seconds, load->end - clock_seconds()), 0);
    nanosleep(&(struct timespec){(time_t)seconds, (long)(fmod(seconds, 1) * 1e9)}, NULL);
}

static void take_event(const Millrace__V1__GenerateEvent *event, double start, struct load_sample *sample)
{
    double passed_ms = (clock_seconds() - start) * 1e3;
    if (event->kind_case == MILLRACE__V1__GENERATE_EVENT__KIND_FRAME && event->frame->step == 1) {
        sample->first_frame = passed_ms;
    } else if (event->kind_case == MILLRACE__V1__GENERATE_EVENT__KIND_FINISHED) {
        sample->total = passed_ms;
        sample->queue = event->finished->timings->queue_ms;
        sample->compute = event->finished->timings->compute_ms;
    }
}

static bool is_over(const struct load *load)
{
    const atomic_bool *stop = load->options->stop;
    return clock_seconds() >= load->end || (stop && *stop);
}

/* Reads the stream until its end, or until the time is over; sample->total is still 0 then. */
static enum status read_text(struct load *load, struct rpc_stream *stream, double start,
                             struct load_sample *sample, struct error *error)
{
    ProtobufCMessage *event;
    enum rpc_read read;
    do {
        read = rpc_stream_read(stream, fmin(fmax(load->end - clock_seconds(), 0), LOOK_SECONDS), &event);
        if (read == RPC_READ_MESSAGE) {
            take_event((const Millrace__V1__GenerateEvent *)event, start, sample);
            protobuf_c_message_free_unpacked(event, NULL);
        }
    } while (read == RPC_READ_MESSAGE || (read == RPC_READ_TIMEOUT && !is_over(load)));
    return read == RPC_READ_END ? rpc_stream_status(stream, error) : STATUS_OK;
}

static void ask(struct client *client, uint32_t round)
{
    struct load *load = client->load;
    Millrace__V1__GenerateRequest request;
    struct rpc_stream *stream;
    struct error error = {0};
    make_request(client, round, &request);
    struct load_sample sample = {.tokens = request.length,
                                 .token_steps = (double)request.length * request.steps};
    double start = clock_seconds();
    enum status status = rpc_stream_open(
        load->channels[client->index % load->options->n_channels], "/millrace.v1.Millrace/Generate",
        &request.base, &millrace__v1__generate_event__descriptor, INFINITY, &stream, &error);
    if (status == STATUS_OK) {
        status = read_text(load, stream, start, &sample, &error);
        rpc_stream_close(stream); /* which cancels one that is not at its end */
    }
    if (status == STATUS_OK && sample.total > 0)
        add_sample(load, &sample);
    if (status != STATUS_OK) {
        note_failure(load, &error);
        wait_after(load, &error);
    }
}

static void *client_main(void *argument)
{
    struct client *client = argument;
    for (uint32_t round = 0; !is_over(client->load); round++)
        ask(client, round);
    return NULL;
}

static enum status open_channels(struct load *load, struct error *error)
{
    enum status status = STATUS_OK;
    for (int i = 0; i < load->options->n_channels && status == STATUS_OK; i++)
        status = rpc_channel_open(load->options->address, NULL, &load->channels[i], error);
    return status;
}

static int start_clients(struct load *load, struct client *clients)
{
    int n = 0;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    for (; n < load->options->n_clients; n++) {
        clients[n] = (struct client){.load = load, .index = n};
        if (pthread_create(&clients[n].thread, &attributes, client_main, &clients[n]))
            break;
    }
    pthread_attr_destroy(&attributes);
    return n;
}

enum status load_run(const struct load_options *options, struct load_result *result, struct error *error)
{
    struct load load = {.options = options, .result = result};
    struct client *clients = calloc((size_t)options->n_clients, sizeof *clients);
    if (!clients || options->n_channels > MAX_CHANNELS) {
        free(clients);
        return error_set(error, STATUS_INVALID_ARGUMENT, "clients: %d; channels: %d, at most %d",
                         options->n_clients, options->n_channels, MAX_CHANNELS);
    }
    *result = (struct load_result){0};
    pthread_mutex_init(&load.lock, NULL);
    enum status status = open_channels(&load, error);
    load.start = clock_seconds();
    load.end = load.start + options->seconds;
    int n = status == STATUS_OK ? start_clients(&load, clients) : 0;
    for (int i = 0; i < n; i++)
        pthread_join(clients[i].thread, NULL);
    result->seconds = options->seconds;
    for (int i = 0; i < MAX_CHANNELS; i++)
        rpc_channel_close(load.channels[i]);
    pthread_mutex_destroy(&load.lock);
    free(clients);
    if (status == STATUS_OK && n < options->n_clients)
        status = error_set(error, STATUS_RESOURCE_EXHAUSTED, "only %d threads could be started", n);
    return status;
}
