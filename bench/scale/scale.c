/*
 * bench_scale: what a coordinator costs with so many replicas and so many requests that wait; a row of
 * figures as CSV. The coordinator is the real program, of this version or an older one; the replicas are
 * fakes on the wire (replicas.h), the clients those of bench_load. bench/scale.sh starts coordinators and
 * makes the table.
 *
 * With --step-ms the replicas take that time for a step, and are kept full: of all clients as many run as
 * there is room for, and --waiting more wait. Without it a replica answers a run at once, and --waiting
 * clients ask.
 */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load/clients.h"
#include "bench/load/cpu.h"
#include "bench/scale/replicas.h"
#include "common/clock.h"
#include "common/model/config.h"
#include "common/model/tensors.h"
#include "common/options.h"
#include "proto/millrace.pb-c.h"

#define STATUS_SECONDS 60.0
#define FILL_SECONDS 60.0

static struct {
    const char *address, *model, *label;
    int64_t coordinator, replicas, waiting, sequences, length, steps, channels;
    double step_ms, seconds, warm_up;
    bool header;
} settings;

static const struct option_row rows[] = {
    {"address", 'a', OPTION_TEXT, "ADDRESS", NULL, "127.0.0.1:7077", 0, 0,
     "Of the coordinator, which was started with --spawn 0.", &settings.address},
    {"coordinator", 'p', OPTION_INTEGER, "PID", NULL, "1", 1, 1 << 30, "Its process.", &settings.coordinator},
    {"model", 'm', OPTION_TEXT, "DIR", NULL, NULL, 0, 0, "That it serves.", &settings.model},
    {"label", 0, OPTION_TEXT, "TEXT", NULL, "-", 0, 0, "The first column.", &settings.label},
    {"replicas", 'r', OPTION_INTEGER, "N", NULL, "1", 1, 1000, "Fake replicas.", &settings.replicas},
    {"waiting", 'w', OPTION_INTEGER, "N", NULL, "10", 0, 20000, "Clients beside those that run.",
     &settings.waiting},
    {"sequences", 0, OPTION_INTEGER, "N", NULL, "4", 1, 4096, "Texts that a replica runs together.",
     &settings.sequences},
    {"step-ms", 0, OPTION_REAL, "MS", NULL, "0", 0, 1e5, "Time of a step; 0: none.", &settings.step_ms},
    {"length", 0, OPTION_INTEGER, "N", NULL, "64", 1, 65536, "Positions of a text.", &settings.length},
    {"steps", 0, OPTION_INTEGER, "N", NULL, "8", 1, 65536, "Steps of a text.", &settings.steps},
    {"channels", 0, OPTION_INTEGER, "N", NULL, "16", 1, 16, "Connections that the clients share.",
     &settings.channels},
    {"seconds", 's', OPTION_REAL, "SECONDS", NULL, "5", 0.1, 86400, "How long.", &settings.seconds},
    {"warm-up", 0, OPTION_REAL, "SECONDS", NULL, "3", 0, 3600, "Before that, not counted.",
     &settings.warm_up},
    {"header", 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0, "Print the names of the columns first.",
     &settings.header},
    {0},
};

static const struct option_table options = {
    .program = "bench_scale",
    .summary = "Loads a coordinator with fake replicas and clients, and prints a row of CSV.",
    .operands = "",
    .rows = rows,
};

/* What was done and used so far. */
struct spent {
    double at, cpu, memory_mb;
    unsigned long frames, finished;
    uint32_t queued, running;
    bool good; /* the coordinator answered */
};

struct measurement {
    struct fake_replicas *replicas;
    struct rpc_channel *channel; /* for its status */
    atomic_bool stop;
    struct spent idle[2], busy[2]; /* before and after */
};

static double memory_mb(pid_t pid)
{
    char path[64], line[256];
    double kilobytes = NAN;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file)) {
        if (!strncmp(line, "VmRSS:", 6))
            kilobytes = strtod(line + 6, NULL);
    }
    if (file)
        fclose(file);
    return kilobytes / 1024;
}

static void note_status(struct spent *spent, const Millrace__V1__StatusResponse *status)
{
    spent->finished = (unsigned long)status->finished;
    spent->queued = status->queued;
    spent->running = status->running;
    spent->good = true;
}

/* Tries again for a while: while thousands connect, a connection may be refused. */
static void ask_status(struct rpc_channel *channel, struct spent *spent)
{
    Millrace__V1__StatusRequest request = MILLRACE__V1__STATUS_REQUEST__INIT;
    ProtobufCMessage *answer;
    struct error error;
    enum status status = STATUS_UNAVAILABLE;
    for (double until = clock_seconds() + STATUS_SECONDS;
         status == STATUS_UNAVAILABLE && clock_seconds() < until;)
        status = rpc_unary(channel, "/millrace.v1.Millrace/Status", &request.base,
                           &millrace__v1__status_response__descriptor, STATUS_SECONDS, &answer, &error);
    if (status != STATUS_OK) {
        fprintf(stderr, "bench_scale: status: %s\n", error.text);
        return;
    }
    note_status(spent, (const Millrace__V1__StatusResponse *)answer);
    protobuf_c_message_free_unpacked(answer, NULL);
}

static struct spent look(const struct measurement *measurement)
{
    struct spent spent = {0};
    ask_status(measurement->channel, &spent); /* first: how long the answer takes belongs to neither side */
    spent.at = clock_seconds();
    spent.cpu = cpu_seconds((pid_t)settings.coordinator);
    spent.memory_mb = memory_mb((pid_t)settings.coordinator);
    spent.frames = fake_replicas_frames(measurement->replicas);
    return spent;
}

static void wait_seconds(double seconds)
{
    nanosleep(&(struct timespec){(time_t)seconds, (long)(fmod(seconds, 1) * 1e9)}, NULL);
}

static int n_clients(void)
{
    int64_t running = settings.step_ms > 0 ? settings.replicas * settings.sequences : 0;
    return (int)(running + settings.waiting);
}

/* Until nearly all clients have a request there; on a machine with other work that may take a while. */
static void wait_until_full(const struct measurement *measurement)
{
    double until = clock_seconds() + FILL_SECONDS;
    uint32_t n = 0, wanted = (uint32_t)(settings.step_ms > 0 ? 0.9 * n_clients() : 0);
    while (n < wanted && clock_seconds() < until) {
        struct spent now = {0};
        wait_seconds(0.2);
        ask_status(measurement->channel, &now);
        n = now.queued + now.running;
    }
}

/* Beside the clients: they go on while it looks, and end when it has looked. */
static void *measure(void *argument)
{
    struct measurement *measurement = argument;
    wait_until_full(measurement);
    wait_seconds(settings.warm_up);
    measurement->busy[0] = look(measurement);
    wait_seconds(settings.seconds);
    measurement->busy[1] = look(measurement);
    measurement->stop = true;
    return NULL;
}

static void print_row(const struct measurement *measurement, const struct load_result *result)
{
    const struct spent *before = &measurement->busy[0], *after = &measurement->busy[1];
    const struct spent *idle = measurement->idle;
    double seconds = after->at - before->at, cpu = after->cpu - before->cpu;
    double finished = (double)(after->finished - before->finished);
    double frames = (double)(after->frames - before->frames);
    if (settings.header)
        puts("label,replicas,waiting,clients,step_ms,seconds,requests_per_s,frames_per_s,cpu_us_per_request,"
             "cpu_us_per_frame,cpu_percent,idle_cpu_percent,memory_mb,queued,running,refused,failed,lost");
    printf("%s,%lld,%lld,%d,%g,%.1f,%.1f,%.0f,%.1f,%.2f,%.1f,%.2f,%.1f,%u,%u,%zu,%zu,%d\n", settings.label,
           (long long)settings.replicas, (long long)settings.waiting, n_clients(), settings.step_ms, seconds,
           finished / seconds, frames / seconds, 1e6 * cpu / finished, 1e6 * cpu / frames,
           100 * cpu / seconds, 100 * (idle[1].cpu - idle[0].cpu) / (idle[1].at - idle[0].at),
           after->memory_mb, after->queued, after->running, result->n_refused, result->n_failed,
           fake_replicas_lost(measurement->replicas));
}

static enum status run_load(struct measurement *measurement, struct load_result *result, struct error *error)
{
    struct load_options load = {.address = settings.address,
                                .n_clients = n_clients(),
                                .n_channels = (int)settings.channels,
                                .length = (int)settings.length,
                                .steps = (int)settings.steps,
                                .stop = &measurement->stop,
                                .seconds = 1e6};
    pthread_t thread;
    if (pthread_create(&thread, NULL, measure, measurement))
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no thread for the measurement");
    enum status status = load_run(&load, result, error);
    pthread_join(thread, NULL);
    return status;
}

static enum status read_fingerprint(char fingerprint[17], struct error *error)
{
    struct model_config config;
    struct tensors *tensors;
    enum status status = model_config_read(settings.model, &config, error);
    if (status == STATUS_OK)
        status = tensors_open_model(settings.model, &config, &tensors, error);
    if (status != STATUS_OK)
        return status;
    tensors_fingerprint(tensors, &config, fingerprint);
    tensors_close(tensors);
    return STATUS_OK;
}

static enum status run(struct error *error)
{
    char fingerprint[17];
    struct measurement measurement = {0};
    struct fake_replicas *replicas = NULL;
    struct load_result result = {0};
    const struct fake_options fakes = {.address = settings.address,
                                       .fingerprint = fingerprint,
                                       .n_replicas = (int)settings.replicas,
                                       .max_sequences = (int)settings.sequences,
                                       .max_tokens = (int)(settings.sequences * settings.length),
                                       .step_seconds = settings.step_ms * 1e-3};
    enum status status = read_fingerprint(fingerprint, error);
    if (status == STATUS_OK)
        status = fake_replicas_start(&fakes, &replicas, error);
    if (status == STATUS_OK)
        status = rpc_channel_open(settings.address, NULL, &measurement.channel, error);
    if (status != STATUS_OK) {
        fake_replicas_stop(replicas);
        return status;
    }
    measurement.replicas = replicas;
    measurement.idle[0] = look(&measurement);
    wait_seconds(fmin(settings.seconds, 2));
    measurement.idle[1] = look(&measurement);
    status = run_load(&measurement, &result, error);
    if (status == STATUS_OK && !(measurement.busy[0].good && measurement.busy[1].good))
        status = error_set(error, STATUS_UNAVAILABLE, "the coordinator does not tell its status");
    if (status == STATUS_OK)
        print_row(&measurement, &result);
    if (result.n_failed)
        fprintf(stderr, "bench_scale: %zu requests failed: %s\n", result.n_failed, result.failure.text);
    free(result.samples);
    rpc_channel_close(measurement.channel);
    fake_replicas_stop(replicas);
    return status;
}

int main(int argc, char **argv)
{
    struct error error;
    bool help = false;
    char **operands;
    int n_operands;
    enum status status = options_parse(&options, argc, argv, &help, &operands, &n_operands, &error);
    if (status == STATUS_OK && !help && !settings.model)
        status = error_set(&error, STATUS_INVALID_ARGUMENT, "--model is missing");
    if (status == STATUS_OK && !help)
        status = run(&error);
    if (help)
        options_print_help(&options, stdout);
    if (status != STATUS_OK)
        fprintf(stderr, "bench_scale: %s\n", error.text);
    return status == STATUS_OK ? 0 : 1;
}
