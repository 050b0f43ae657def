/*
 * bench_load runs a number of clients at once against a running cluster and prints a row of figures as CSV.
 * bench/load.sh runs it for 1, 8, 64 and 256 clients, each time on a new cluster, and makes the table.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/options.h"
#include "proto/millrace.pb-c.h"
#include "bench/load/clients.h"
#include "bench/load/cpu.h"

static struct {
    const char *address;
    int64_t clients, channels, coordinator;
    double seconds, warm_up;
    bool header;
} settings;

static const struct option_row rows[] = {
    {"address", 'a', OPTION_ENDPOINT, "ADDRESS", NULL, "127.0.0.1:7077", 0, 0, "Of the coordinator.",
     &settings.address},
    {"clients", 'c', OPTION_INTEGER, "N", NULL, "8", 1, 4096, "That ask at the same time.",
     &settings.clients},
    {"channels", 0, OPTION_INTEGER, "N", NULL, "4", 1, 16, "Connections that they share.",
     &settings.channels},
    {"seconds", 's', OPTION_REAL, "SECONDS", NULL, "20", 1, 86400, "How long.", &settings.seconds},
    {"warm-up", 0, OPTION_REAL, "SECONDS", NULL, "2", 0, 3600, "Before that, not counted.",
     &settings.warm_up},
    {"coordinator", 'p', OPTION_INTEGER, "PID", NULL, "0", 0, 1 << 30,
     "The coordinator's process, whose CPU time and whose children's is measured; 0: neither.",
     &settings.coordinator},
    {"header", 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0, "Print the names of the columns first.",
     &settings.header},
    {0},
};

static const struct option_table options = {
    .program = "bench_load",
    .summary = "Loads a cluster with clients that ask for one text after the other, and prints a row of CSV.",
    .operands = "",
    .rows = rows,
};

/* What the programs have used so far. */
struct spent {
    double at, coordinator, ranks, self;
};

static struct spent look(void)
{
    pid_t pid = (pid_t)settings.coordinator;
    return (struct spent){.at = clock_seconds(),
                          .coordinator = pid ? cpu_seconds(pid) : NAN,
                          .ranks = pid ? cpu_seconds_of_children(pid) : NAN,
                          .self = cpu_seconds(getpid())};
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* The value below which `part` of values[n] lie (nearest rank); sorts them. */
static double percentile(double *values, size_t n, double part)
{
    if (!n)
        return NAN;
    qsort(values, n, sizeof *values, compare);
    return values[(size_t)fmin(ceil(part * (double)n), (double)n) - (n > 0 && part > 0)];
}

/* What a text took beside waiting and computing: the wires, both programs, and the rest of the step that was
 * under way when it came. */
static double overhead(const struct load_sample *sample)
{
    return sample->total - sample->queue - sample->compute;
}

static void print_percentiles(const struct load_result *result, double *scratch)
{
    for (size_t i = 0; i < result->n; i++)
        scratch[i] = result->samples[i].total;
    printf("%.1f,%.1f,%.1f,", percentile(scratch, result->n, 0.5), percentile(scratch, result->n, 0.95),
           percentile(scratch, result->n, 0.99));
    for (size_t i = 0; i < result->n; i++)
        scratch[i] = result->samples[i].first_frame;
    printf("%.1f,", percentile(scratch, result->n, 0.5));
    for (size_t i = 0; i < result->n; i++)
        scratch[i] = result->samples[i].queue;
    printf("%.1f,", percentile(scratch, result->n, 0.5));
    for (size_t i = 0; i < result->n; i++)
        scratch[i] = overhead(&result->samples[i]);
    printf("%.2f,%.2f,", percentile(scratch, result->n, 0.5), percentile(scratch, result->n, 0.95));
}

static double batch_fill(void)
{
    Millrace__V1__StatusRequest request = MILLRACE__V1__STATUS_REQUEST__INIT;
    struct rpc_channel *channel;
    ProtobufCMessage *answer;
    struct error error;
    double fill = NAN;
    if (rpc_channel_open(settings.address, NULL, &channel, &error) != STATUS_OK)
        return fill;
    if (rpc_unary(channel, "/millrace.v1.Millrace/Status", &request.base,
                  &millrace__v1__status_response__descriptor, 10, &answer, &error) == STATUS_OK) {
        fill = ((const Millrace__V1__StatusResponse *)answer)->batch_fill;
        protobuf_c_message_free_unpacked(answer, NULL);
    }
    rpc_channel_close(channel);
    return fill;
}

static void print_row(const struct load_result *result, struct spent before, struct spent after)
{
    double *scratch = calloc(result->n + 1, sizeof *scratch), tokens = 0, token_steps = 0;
    double passed = after.at - before.at, coordinator = after.coordinator - before.coordinator;
    double ranks = after.ranks - before.ranks, n = (double)result->n;
    for (size_t i = 0; i < result->n; i++) {
        tokens += result->samples[i].tokens;
        token_steps += result->samples[i].token_steps;
    }
    if (settings.header)
        puts("clients,seconds,texts,texts_per_s,tokens_per_s,token_steps_per_s,total_p50_ms,total_p95_ms,"
             "total_p99_ms,first_frame_p50_ms,queue_p50_ms,overhead_p50_ms,overhead_p95_ms,batch_fill,"
             "coordinator_cpu_ms_per_text,coordinator_percent_of_cluster_cpu,coordinator_percent_of_machine,"
             "load_generator_percent_of_machine,refused,failed");
    printf("%lld,%.0f,%zu,%.2f,%.0f,%.0f,", (long long)settings.clients, result->seconds, result->n,
           n / result->seconds, tokens / result->seconds, token_steps / result->seconds);
    if (scratch)
        print_percentiles(result, scratch);
    double machine = passed * (double)sysconf(_SC_NPROCESSORS_ONLN);
    printf("%.3f,%.2f,%.2f,%.2f,%.2f,%zu,%zu\n", batch_fill(), 1e3 * coordinator / n,
           100 * coordinator / (coordinator + ranks), 100 * coordinator / machine,
           100 * (after.self - before.self) / machine, result->n_refused, result->n_failed);
    free(scratch);
}

static int run(void)
{
    struct load_options load = {.address = settings.address,
                                .n_clients = (int)settings.clients,
                                .n_channels = (int)settings.channels,
                                .seconds = settings.warm_up};
    struct load_result result = {0};
    struct error error = {0};
    enum status status = STATUS_OK;
    if (settings.warm_up > 0)
        status = load_run(&load, &result, &error);
    free(result.samples);
    load.seconds = settings.seconds;
    struct spent before = look();
    if (status == STATUS_OK)
        status = load_run(&load, &result, &error);
    if (status == STATUS_OK)
        print_row(&result, before, look());
    if (status != STATUS_OK || result.n_failed)
        fprintf(stderr, "bench_load: %s\n", status != STATUS_OK ? error.text : result.failure.text);
    free(result.samples);
    return status == STATUS_OK && !result.n_failed ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct error error;
    bool help = false;
    char **operands;
    int n_operands;
    if (options_parse(&options, argc, argv, &help, &operands, &n_operands, &error) != STATUS_OK) {
        fprintf(stderr, "bench_load: %s\n", error.text);
        return 2;
    }
    if (help) {
        options_print_help(&options, stdout);
        return 0;
    }
    return run();
}
