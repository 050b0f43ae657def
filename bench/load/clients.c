#include "bench/load/clients.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "bench/load/ready.h"
#include "common/clock.h"
#include "common/philox.h"
#include "proto/millrace.pb-c.h"

enum { MAX_CHANNELS = 16 };

#define LOOK_SECONDS 0.5 /* how soon a crew sees that it is to stop */

struct load;

struct client {
    struct ready_item ready; /* first: what ready_take returns is the client */
    struct load *load;
    struct crew *crew;
    int index;
    uint32_t round;
    struct rpc_stream *stream; /* NULL: it pauses */
    double start;              /* of this request */
    double resumes;            /* where it pauses: when it asks again */
    struct load_sample sample; /* total 0: not finished yet */
};

/* All clients of one connection, and the thread that serves them. */
struct crew {
    struct load *load;
    pthread_t thread;
    int index;
    struct rpc_channel *channel;
    struct ready_list ready;
    double resumes; /* when the first of those that pause asks again; INFINITY: none pauses */
};

struct load {
    const struct load_options *options;
    struct crew crews[MAX_CHANNELS];
    struct client *clients; /* [n_clients]: client i is of crew i modulo n_channels */
    double start, end;
    pthread_mutex_t lock; /* guards result */
    struct load_result *result;
    size_t capacity;
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

static void take_event(struct client *client, const Millrace__V1__GenerateEvent *event)
{
    struct load_sample *sample = &client->sample;
    double passed_ms = (clock_seconds() - client->start) * 1e3;
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

/* ---- one client ---- */

/* Pauses as long as the coordinator says, or a moment if it says nothing. */
static void pause_after(struct client *client, const struct error *error)
{
    note_failure(client->load, error);
    client->resumes = clock_seconds() + (error->retry_after_ms > 0 ? error->retry_after_ms / 1e3 : 0.1);
    client->crew->resumes = fmin(client->crew->resumes, client->resumes);
}

static void ask(struct client *client)
{
    Millrace__V1__GenerateRequest request;
    struct error error = {0};
    make_request(client, client->round++, &request);
    client->sample =
        (struct load_sample){.tokens = request.length, .token_steps = (double)request.length * request.steps};
    client->start = clock_seconds();
    client->stream = NULL;
    if (rpc_stream_open(client->crew->channel, "/millrace.v1.Millrace/Generate", &request.base,
                        &millrace__v1__generate_event__descriptor, INFINITY, &client->stream,
                        &error) == STATUS_OK)
        rpc_stream_notify(client->stream, ready_mark, &client->ready);
    else
        pause_after(client, &error);
}

/* The stream is at its end: the next request follows at once, or after a pause where this one failed. */
static void finish(struct client *client)
{
    struct error error = {0};
    enum status status = rpc_stream_status(client->stream, &error);
    rpc_stream_close(client->stream);
    client->stream = NULL;
    if (status != STATUS_OK) {
        pause_after(client, &error);
        return;
    }
    if (client->sample.total > 0)
        add_sample(client->load, &client->sample);
    ask(client);
}

/* Takes all that came. Nothing, where the client was listed once more before its stream ended. */
static void attend(struct client *client)
{
    ProtobufCMessage *event;
    enum rpc_read read = RPC_READ_TIMEOUT;
    while (client->stream && (read = rpc_stream_read(client->stream, 0, &event)) == RPC_READ_MESSAGE) {
        take_event(client, (const Millrace__V1__GenerateEvent *)event);
        protobuf_c_message_free_unpacked(event, NULL);
    }
    if (read == RPC_READ_END)
        finish(client);
}

/* ---- the clients of a connection ---- */

static struct client *first_client(const struct crew *crew)
{
    return crew->index < crew->load->options->n_clients ? &crew->load->clients[crew->index] : NULL;
}

static struct client *next_client(const struct crew *crew, const struct client *client)
{
    int next = client->index + crew->load->options->n_channels;
    return next < crew->load->options->n_clients ? &crew->load->clients[next] : NULL;
}

/* Those whose pause is over ask again. */
static void resume(struct crew *crew)
{
    double now = clock_seconds();
    if (now < crew->resumes)
        return;
    crew->resumes = INFINITY;
    for (struct client *client = first_client(crew); client; client = next_client(crew, client)) {
        if (!client->stream && now >= client->resumes)
            ask(client);
        else if (!client->stream)
            crew->resumes = fmin(crew->resumes, client->resumes);
    }
}

/* All are cancelled before the first is waited for. */
static void leave(struct crew *crew)
{
    for (struct client *client = first_client(crew); client; client = next_client(crew, client)) {
        if (client->stream)
            rpc_stream_cancel(client->stream);
    }
    for (struct client *client = first_client(crew); client; client = next_client(crew, client))
        rpc_stream_close(client->stream);
}

static void *crew_main(void *argument)
{
    struct crew *crew = argument;
    struct load *load = crew->load;
    for (struct client *client = first_client(crew); client && !is_over(load);
         client = next_client(crew, client))
        ask(client);
    while (!is_over(load)) {
        double next = fmin(crew->resumes, load->end) - clock_seconds();
        struct ready_item *item = ready_take(&crew->ready, fmin(fmax(next, 0), LOOK_SECONDS));
        if (item)
            attend((struct client *)item);
        resume(crew);
    }
    leave(crew);
    return NULL;
}

/* ---- all of them ---- */

static void make_clients(struct load *load)
{
    for (int i = 0; i < load->options->n_clients; i++) {
        struct crew *crew = &load->crews[i % load->options->n_channels];
        load->clients[i] =
            (struct client){.ready = {.list = &crew->ready}, .load = load, .crew = crew, .index = i};
    }
}

static enum status open_crews(struct load *load, struct error *error)
{
    enum status status = STATUS_OK;
    for (int i = 0; i < load->options->n_channels; i++) {
        struct crew *crew = &load->crews[i];
        *crew = (struct crew){.load = load, .index = i, .resumes = INFINITY};
        ready_init(&crew->ready);
        if (status == STATUS_OK)
            status = rpc_channel_open(load->options->address, NULL, &crew->channel, error);
    }
    return status;
}

static int start_crews(struct load *load)
{
    int n = 0;
    while (n < load->options->n_channels &&
           !pthread_create(&load->crews[n].thread, NULL, crew_main, &load->crews[n]))
        n++;
    return n;
}

static void close_crews(struct load *load)
{
    for (int i = 0; i < load->options->n_channels; i++) {
        rpc_channel_close(load->crews[i].channel);
        ready_destroy(&load->crews[i].ready);
    }
}

enum status load_run(const struct load_options *options, struct load_result *result, struct error *error)
{
    if (options->n_channels > MAX_CHANNELS)
        return error_set(error, STATUS_INVALID_ARGUMENT, "channels: %d, at most %d", options->n_channels,
                         MAX_CHANNELS);
    struct load load = {.options = options, .result = result};
    load.clients = calloc((size_t)options->n_clients, sizeof *load.clients);
    if (!load.clients)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for %d clients", options->n_clients);
    *result = (struct load_result){.seconds = options->seconds};
    pthread_mutex_init(&load.lock, NULL);
    enum status status = open_crews(&load, error);
    make_clients(&load);
    load.start = clock_seconds();
    load.end = load.start + options->seconds;
    int n = status == STATUS_OK ? start_crews(&load) : 0;
    for (int i = 0; i < n; i++)
        pthread_join(load.crews[i].thread, NULL);
    close_crews(&load);
    pthread_mutex_destroy(&load.lock);
    free(load.clients);
    if (status == STATUS_OK && n < options->n_channels)
        status = error_set(error, STATUS_RESOURCE_EXHAUSTED, "only %d threads could be started", n);
    return status;
}
