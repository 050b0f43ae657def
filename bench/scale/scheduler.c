/*
 * bench_scheduler: what the scheduler alone costs, without a wire: a row of figures as CSV. All replicas are
 * full, and more runs wait. One after the other the runs take their steps; whenever one ends, the next that
 * waits is started by the same call, and a new request is accepted. So every call includes the decisions that
 * it causes, and all of it is time under the scheduler's lock but for the copies that clients are given.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/options.h"
#include "coordinator/request/request.h"
#include "coordinator/scheduler/scheduler.h"

static struct {
    int64_t replicas, sequences, waiting, length, steps, calls;
    bool header;
} settings;

static const struct option_row rows[] = {
    {"replicas", 'r', OPTION_INTEGER, "N", NULL, "10", 1, 1000, "Replicas.", &settings.replicas},
    {"sequences", 0, OPTION_INTEGER, "N", NULL, "64", 1, 65536, "Texts that each runs together.",
     &settings.sequences},
    {"waiting", 'w', OPTION_INTEGER, "N", NULL, "100", 1, 1000000, "Requests that wait.", &settings.waiting},
    {"length", 0, OPTION_INTEGER, "N", NULL, "64", 1, 65536, "Positions of a text.", &settings.length},
    {"steps", 0, OPTION_INTEGER, "N", NULL, "8", 1, 65536, "Steps of a text.", &settings.steps},
    {"calls", 0, OPTION_INTEGER, "N", NULL, "0", 0, 1e9,
     "Reports to measure; 0: two for each step of all that run, and 20000 at the least.", &settings.calls},
    {"header", 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0, "Print the names of the columns first.",
     &settings.header},
    {0},
};

static const struct option_table options = {
    .program = "bench_scheduler",
    .summary = "Measures the scheduler alone, and prints a row of CSV: microseconds a call.",
    .operands = "",
    .rows = rows,
};

/* ---- replicas and clients that do nothing ---- */

struct fake_run {
    uint64_t ticket;
    uint32_t step;
};

struct fake_replica {
    struct fake_run *runs; /* [n] in a ring of `capacity`: the first takes the next step */
    size_t first, n, capacity;
    uint64_t batch_step;
};

static void submit(void *connection, const struct run *run)
{
    struct fake_replica *replica = connection;
    if (replica->n == replica->capacity)
        abort(); /* more than it may hold */
    replica->runs[(replica->first + replica->n++) % replica->capacity] =
        (struct fake_run){run->ticket, run->step};
}

static void cancel(void *connection, uint64_t ticket)
{
    (void)connection, (void)ticket;
}

static void drain(void *connection)
{
    (void)connection;
}

static void hang_up(void *connection, enum status status, const char *text)
{
    (void)connection, (void)status, (void)text;
}

static const struct replica_connection operations = {submit, cancel, drain, hang_up};

static void accepted(void *context, const struct request_accepted *event)
{
    (void)context, (void)event;
}

static void frame(void *context, const struct request_frame *event)
{
    (void)context, (void)event;
}

static void ended(void *context, const struct request_ended *event)
{
    (void)context, (void)event;
}

static const struct request_sink sink = {.accepted = accepted, .frame = frame, .ended = ended};

/* ---- calls ---- */

struct series {
    double *seconds; /* [n] */
    size_t n, capacity;
};

struct bench {
    struct scheduler *scheduler;
    struct fake_replica *replicas;
    struct series accept, report, last_report;
};

static void add_sample(struct series *series, double seconds)
{
    if (series->n < series->capacity)
        series->seconds[series->n++] = seconds;
}

static void accept_one(struct bench *bench)
{
    const struct request_terms terms = {.class = CLASS_NORMAL};
    const struct request_choices choices = {
        .steps_most = (int)settings.steps, .steps_default = (int)settings.steps, .seed = 1, .temperature = 1};
    struct draft draft;
    struct error error;
    uint64_t number;
    if (draft_create(&draft, (size_t)settings.length, &error) != STATUS_OK)
        abort();
    memset(draft.editable, 1, (size_t)settings.length);
    struct request *request = request_of_draft(&terms, &choices, &draft);
    double start = clock_seconds();
    if (!request || scheduler_accept(bench->scheduler, request, &sink, NULL, &number, &error) != STATUS_OK)
        abort();
    add_sample(&bench->accept, clock_seconds() - start);
}

/* The first run of the replica takes a step and goes to the end of its row. */
static void report_one(struct bench *bench, struct fake_replica *replica)
{
    struct fake_run run = replica->runs[replica->first];
    uint32_t positions[8], ids[8];
    size_t n = settings.length < 8 ? (size_t)settings.length : 8;
    for (size_t i = 0; i < n; i++) {
        positions[i] = (uint32_t)i;
        ids[i] = run.step;
    }
    run.step++;
    bool done = run.step == (uint32_t)settings.steps;
    const struct step_report report = {.ticket = run.ticket,
                                       .step = run.step,
                                       .n_changed = n,
                                       .positions = positions,
                                       .ids = ids,
                                       .step_ms = 20,
                                       .done = done,
                                       .batch_step = ++replica->batch_step,
                                       .batch_tokens = settings.length * settings.sequences};
    replica->first = (replica->first + 1) % replica->capacity;
    replica->n--;
    if (!done)
        replica->runs[(replica->first + replica->n++) % replica->capacity] = run;
    double start = clock_seconds();
    if (scheduler_report(bench->scheduler, replica, &report, NULL) != STATUS_OK)
        abort();
    add_sample(done ? &bench->last_report : &bench->report, clock_seconds() - start);
    if (done)
        accept_one(bench);
}

/* ---- a row ---- */

static bool open_series(struct series *series)
{
    series->capacity = (size_t)settings.calls;
    series->seconds = malloc(series->capacity * sizeof *series->seconds);
    return series->seconds;
}

static void attach(struct bench *bench, int index)
{
    char name[32];
    struct error error;
    struct fake_replica *replica = &bench->replicas[index];
    const struct replica_hello hello = {name, "fake", 1, NULL};
    const struct replica_capacity capacity = {.max_sequences = (int)settings.sequences,
                                              .held_sequences = (int)settings.sequences,
                                              .max_tokens = settings.sequences * settings.length,
                                              .held_tokens = settings.sequences * settings.length};
    replica->capacity = 2 * (size_t)settings.sequences;
    replica->runs = calloc(replica->capacity, sizeof *replica->runs);
    snprintf(name, sizeof name, "fake%d", index);
    if (!replica->runs ||
        scheduler_attach(bench->scheduler, &hello, &operations, replica, &error) != STATUS_OK)
        abort();
    scheduler_ready(bench->scheduler, replica, &capacity);
}

/* Full, and every run at another step. */
static void set_up(struct bench *bench)
{
    int64_t n_running = settings.replicas * settings.sequences;
    for (int i = 0; i < settings.replicas; i++)
        attach(bench, i);
    for (int64_t i = 0; i < n_running + settings.waiting; i++)
        accept_one(bench);
    for (int64_t i = 0; i < n_running; i++) {
        struct fake_replica *replica = &bench->replicas[i % settings.replicas];
        for (int64_t step = (i / settings.replicas) % settings.steps; step > 0 && replica->n; step--)
            report_one(bench, replica);
    }
    bench->accept.n = bench->report.n = bench->last_report.n = 0;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void print_series(struct series *series)
{
    double sum = 0;
    qsort(series->seconds, series->n, sizeof *series->seconds, compare);
    for (size_t i = 0; i < series->n; i++)
        sum += series->seconds[i];
    if (series->n)
        printf(",%.2f,%.2f,%.2f", 1e6 * series->seconds[series->n / 2],
               1e6 * series->seconds[series->n - 1 - series->n / 100], 1e6 * sum / (double)series->n);
    else
        printf(",nan,nan,nan");
    free(series->seconds);
}

static void print_row(struct bench *bench)
{
    if (settings.header)
        puts("replicas,sequences,waiting,accept_p50_us,accept_p99_us,accept_mean_us,report_p50_us,report_p99_"
             "us,report_mean_us,last_report_p50_us,last_report_p99_us,last_report_mean_us");
    printf("%lld,%lld,%lld", (long long)settings.replicas, (long long)settings.sequences,
           (long long)settings.waiting);
    print_series(&bench->accept);
    print_series(&bench->report);
    print_series(&bench->last_report);
    puts("");
}

static void run(void)
{
    const struct scheduler_options scheduler_options = {
        .max_queue = 2000000, .n_ids = 1 << 20, .silence_seconds = 3600};
    struct bench bench = {.scheduler = scheduler_create(&scheduler_options),
                          .replicas = calloc((size_t)settings.replicas, sizeof *bench.replicas)};
    if (!bench.scheduler || !bench.replicas || !open_series(&bench.accept) || !open_series(&bench.report) ||
        !open_series(&bench.last_report))
        abort();
    set_up(&bench);
    for (int64_t i = 0; i < settings.calls; i++)
        report_one(&bench, &bench.replicas[i % settings.replicas]);
    print_row(&bench);
    scheduler_end_all(bench.scheduler, "the benchmark is over");
    scheduler_free(bench.scheduler);
    for (int i = 0; i < settings.replicas; i++)
        free(bench.replicas[i].runs);
    free(bench.replicas);
}

int main(int argc, char **argv)
{
    struct error error;
    bool help = false;
    char **operands;
    int n_operands;
    if (options_parse(&options, argc, argv, &help, &operands, &n_operands, &error) != STATUS_OK) {
        fprintf(stderr, "bench_scheduler: %s\n", error.text);
        return 2;
    }
    log_set_level(LOG_ERROR);
    if (!settings.calls)
        settings.calls =
            (int64_t)fmax(20000, 2.0 * (double)(settings.replicas * settings.sequences * settings.steps));
    if (help)
        options_print_help(&options, stdout);
    else
        run();
    return 0;
}
