/*
 * bench_device times the operations of a forward pass on one device and compares each with the least time
 * that it could take there.
 *
 * It measures two ceilings first, on the same device: a large product in the device's activation type, and a
 * copy. An operation needs at least the time of its arithmetic at the first ceiling, and at least the time of
 * its unavoidable bytes at the second. The longer of the two is its floor; "of floor" is the floor's share of
 * the measured time. Each operation is one line of comma-separated values. docs/gpu-queue.md says where
 * results go.
 *
 * Exit codes: 0; 1 the device cannot be opened or failed; 2 bad usage.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/device_ops.h"
#include "common/clock.h"
#include "common/options.h"

static struct {
    const char *backend, *precision, *size, *batches;
    int64_t length, threads, gpu;
    double seconds;
    bool quick;
} settings;

static const struct option_row rows[] = {
    {"backend", 0, OPTION_TEXT, "NAME", "MILLRACE_BACKEND", "auto", 0, 0, "cpu, cuda or auto.",
     &settings.backend},
    {"precision", 0, OPTION_TEXT, "NAME", NULL, "auto", 0, 0, "auto, f32, bf16 or fp8.", &settings.precision},
    {"size", 0, OPTION_TEXT, "NAME", NULL, "0.17B", 0, 0,
     "Whose shapes: nano, 0.17B or 1.3B (1.7B has the same).", &settings.size},
    {"batch", 'b', OPTION_TEXT, "N,N...", NULL, "1,32", 0, 0, "Texts in a batch.", &settings.batches},
    {"length", 'l', OPTION_INTEGER, "N", NULL, "1024", 1, 1 << 16, "Tokens of a text.", &settings.length},
    {"threads", 't', OPTION_INTEGER, "N", NULL, "1", 1, 1024, "CPU threads.", &settings.threads},
    {"gpu", 0, OPTION_INTEGER, "N", NULL, "0", 0, 64, "Which GPU.", &settings.gpu},
    {"seconds", 0, OPTION_REAL, "S", NULL, "0.2", 0.001, 60, "How long to repeat each operation, at least.",
     &settings.seconds},
    {"quick", 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0, "Small ceilings: to try the program, not to measure.",
     &settings.quick},
    {0},
};
static const struct option_table table = {
    .program = "bench_device",
    .summary = "Times the operations of a forward pass on one device, each beside the least time that it "
               "could take.",
    .operands = "",
    .examples = "bench_device --backend cuda --size 1.3B --batch 1,8,32",
    .rows = rows,
};

static const struct {
    const char *name;
    int hidden, n_heads, condition, vocabulary;
} sizes[] = {{"nano", 64, 4, 32, 389}, {"0.17B", 768, 12, 128, 50257}, {"1.3B", 2048, 32, 256, 50257}};

static enum status find_precision(const char *name, enum precision *precision, struct error *error)
{
    static const char *const known[] = {"auto", "f32", "bf16", "fp8"};
    for (int i = 0; i < 4; i++)
        if (!strcmp(name, known[i])) {
            *precision = (enum precision)i;
            return STATUS_OK;
        }
    return error_set(error, STATUS_INVALID_ARGUMENT, "--precision %.32s: it must be auto, f32, bf16 or fp8",
                     name);
}

static enum status set_size(struct device_bench *bench, struct error *error)
{
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (!strcmp(settings.size, sizes[i].name)) {
            bench->hidden = sizes[i].hidden;
            bench->n_heads = sizes[i].n_heads;
            bench->condition = sizes[i].condition;
            bench->vocabulary = sizes[i].vocabulary;
            return STATUS_OK;
        }
    return error_set(error, STATUS_INVALID_ARGUMENT, "--size %.32s: it must be nano, 0.17B or 1.3B",
                     settings.size);
}

/* The seconds of one run, by the fastest of several bursts. Each burst is so long that the wait for the
 * device at its end does not count. */
static enum status time_op(const struct device_bench *bench, const struct timed_op *op, double *seconds,
                           struct error *error)
{
    enum { BURSTS = 5 };
    int repeats = 1;
    *seconds = INFINITY;
    op->run(bench, op->operands); /* the first time may choose, load or record */
    enum status status = bench->backend->synchronize(bench->device, error);
    for (int burst = 0; burst < BURSTS && status == STATUS_OK;) {
        double start = clock_seconds();
        for (int i = 0; i < repeats; i++)
            op->run(bench, op->operands);
        status = bench->backend->synchronize(bench->device, error);
        double elapsed = clock_seconds() - start;
        if (elapsed < settings.seconds / BURSTS && repeats < 1 << 20) {
            repeats *= 2;
            continue;
        }
        *seconds = fmin(*seconds, elapsed / repeats);
        burst++;
    }
    return status;
}

struct ceilings {
    double flops, bytes_per_second;
};

static enum status measure_ceilings(const struct device_bench *bench, struct ceilings *ceilings,
                                    struct error *error)
{
    struct timed_op op;
    double seconds;
    *ceilings = (struct ceilings){0};
    for (int width = settings.quick ? 256 : 4096; width <= (settings.quick ? 256 : 8192); width *= 2) {
        enum status status = ceiling_product_make(bench, width, &op, error);
        if (status == STATUS_OK)
            status = time_op(bench, &op, &seconds, error);
        timed_op_release(bench, &op);
        if (status != STATUS_OK)
            return status;
        ceilings->flops = fmax(ceilings->flops, op.flop / seconds);
    }
    enum status status = ceiling_copy_make(bench, (size_t)(settings.quick ? 1 : 1024) << 20, &op, error);
    if (status == STATUS_OK)
        status = time_op(bench, &op, &seconds, error);
    timed_op_release(bench, &op);
    if (status == STATUS_OK)
        ceilings->bytes_per_second = op.bytes / seconds;
    return status;
}

static void print_op(const struct device_bench *bench, const struct timed_op *op, double seconds,
                     const struct ceilings *ceilings)
{
    double floor = fmax(op->flop / ceilings->flops, op->bytes / ceilings->bytes_per_second);
    printf("%s,%s,%d,%s,\"%s\",%.3f,%.3f,%.1f,%.1f,", settings.size, settings.precision, bench->sequences,
           op->name, op->shape, seconds * 1e6, floor * 1e6, op->flop / seconds * 1e-12,
           op->bytes / seconds * 1e-9);
    if (op->off_roof)
        puts("");
    else
        printf("%.1f\n", 100 * floor / seconds);
    fflush(stdout);
}

static enum status measure_batch(struct device_bench *bench, const struct ceilings *ceilings,
                                 struct error *error)
{
    for (int i = 0;; i++) {
        struct timed_op op;
        double seconds;
        enum status status = timed_op_make(bench, i, &op, error);
        if (status == STATUS_NOT_FOUND)
            return STATUS_OK;
        if (status == STATUS_OK)
            status = time_op(bench, &op, &seconds, error);
        timed_op_release(bench, &op);
        if (status != STATUS_OK)
            return status;
        print_op(bench, &op, seconds, ceilings);
    }
}

enum { BATCHES_MAX = 16 };

/* "1,8,32" */
static enum status read_batches(int *batches, int *n, int *largest, struct error *error)
{
    *n = *largest = 0;
    for (const char *at = settings.batches; *at;) {
        char *end;
        long value = strtol(at, &end, 10);
        if (end == at || value < 1 || value > 1024 || (*end && *end != ',') || *n == BATCHES_MAX)
            return error_set(error, STATUS_INVALID_ARGUMENT,
                             "--batch %.64s: it must be numbers from 1 to 1024", settings.batches);
        batches[(*n)++] = (int)value;
        *largest = value > *largest ? (int)value : *largest;
        at = *end ? end + 1 : end;
    }
    return STATUS_OK;
}

static void print_line(void *context, const char *line)
{
    (void)context;
    fprintf(stderr, "bench_device: %s\n", line);
}

static enum status open_device(struct device_bench *bench, int most_sequences, struct error *error)
{
    int64_t most_rows = most_sequences * settings.length, widest = 4 * bench->hidden;
    struct device_options options = {.n_threads = (int)settings.threads,
                                     .index = (int)settings.gpu,
                                     .max_rows = (int)(most_rows > 8192 ? most_rows : 8192),
                                     .max_positions = (int)settings.length,
                                     .told = print_line,
                                     .max_columns = (int)(widest > 8192 ? widest : 8192)};
    enum status status = find_precision(settings.precision, &options.precision, error);
    if (status == STATUS_OK)
        status = backend_find(settings.backend, &bench->backend, error);
    if (status == STATUS_OK)
        status = bench->backend->open(&bench->device, &options, error);
    if (status == STATUS_OK)
        bench->activation = bench->backend->activation_type(bench->device);
    return status;
}

static enum status run(struct error *error)
{
    int batches[BATCHES_MAX], n, largest;
    struct device_bench bench = {.length = (int)settings.length};
    struct ceilings ceilings;
    enum status status = set_size(&bench, error);
    if (status == STATUS_OK)
        status = read_batches(batches, &n, &largest, error);
    if (status == STATUS_OK)
        status = open_device(&bench, largest, error);
    if (status != STATUS_OK)
        return status;
    status = measure_ceilings(&bench, &ceilings, error);
    if (status == STATUS_OK)
        printf("# %s; ceilings: product %.1f TFLOP/s, copy %.0f GB/s (read + written)\n"
               "size,precision,batch,operation,shape,us,floor_us,tflops,gbytes_per_s,percent_of_floor\n",
               bench.backend->describe(bench.device), ceilings.flops * 1e-12,
               ceilings.bytes_per_second * 1e-9);
    for (int i = 0; i < n && status == STATUS_OK; i++) {
        bench.sequences = batches[i];
        status = measure_batch(&bench, &ceilings, error);
    }
    bench.backend->close(bench.device);
    return status;
}

int main(int argc, char **argv)
{
    bool help;
    char **operands;
    int n_operands;
    struct error error;
    if (options_parse(&table, argc, argv, &help, &operands, &n_operands, &error) != STATUS_OK) {
        fprintf(stderr, "bench_device: %s\n", error.text);
        return 2;
    }
    if (help) {
        options_print_help(&table, stdout);
        return 0;
    }
    enum status status = run(&error);
    if (status != STATUS_OK)
        fprintf(stderr, "bench_device: %s\n", error.text);
    return status == STATUS_OK ? 0 : status == STATUS_INVALID_ARGUMENT ? 2 : 1;
}
