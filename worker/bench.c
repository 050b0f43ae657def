#include "worker/bench.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common/philox.h"
#include "worker/batch.h"
#include "common/clock.h"

/* What one rank saw; exchanged as it is. */
struct bench_figures {
    double seconds, matmul, attention, head, communication;
    double flop, ceiling_flops, peak_bytes;
    double head_passes; /* rows that needed logits, over the length: S without thinning */
    uint64_t checksum;
};

static struct bench_figures counters_of(const struct model *model)
{
    struct bench_figures figures = {.matmul = model->forward.seconds.matmul,
                                    .attention = model->forward.seconds.attention,
                                    .head = model->sampler.seconds,
                                    .communication = model->collective->seconds,
                                    .flop = model->forward.flop + model->sampler.flop};
    return figures;
}

static void subtract(struct bench_figures *after, const struct bench_figures *before)
{
    after->matmul -= before->matmul;
    after->attention -= before->attention;
    after->head -= before->head;
    after->communication -= before->communication;
    after->flop -= before->flop;
}

/* FNV-1a of the tokens: equal texts, equal sums. */
static uint64_t checksum_of(const int32_t *ids, int n)
{
    uint64_t sum = 0xCBF29CE484222325u;
    for (int i = 0; i < n; i++)
        for (int byte = 0; byte < 4; byte++)
            sum = (sum ^ ((uint32_t)ids[i] >> (8 * byte) & 0xFF)) * 0x100000001B3u;
    return sum;
}

struct bench_text {
    uint32_t *ids;
    uint8_t *editable;
    int32_t *final;                  /* [batch, length] */
    struct sequence_report *reports; /* [batch] */
};

/* Text number `index`: its seed is index + 1. */
static enum status add_text(struct model *model, struct batch *batch, const struct bench_options *options,
                            const struct bench_text *text, int index, struct error *error)
{
    const struct model_config *config = &model->weights.config;
    uint64_t seed = (uint64_t)index + 1;
    for (int i = 0; i < options->length; i++) {
        double u = philox_uniform(seed, 0, (uint32_t)i, PHILOX_INITIAL);
        text->ids[i] =
            config->source == SOURCE_MASK ? (uint32_t)config->mask_token : (uint32_t)(u * config->vocabulary);
        text->final[index * options->length + i] = (int32_t)text->ids[i];
        text->editable[i] = 1;
    }
    const struct sequence_input input = {.number = (uint64_t)index,
                                         .ids = text->ids,
                                         .editable = text->editable,
                                         .length = (size_t)options->length,
                                         .n_steps = (uint32_t)options->n_steps,
                                         .seed = seed,
                                         .temperature = 1};
    return batch_add(batch, &input, error);
}

static void take_report(const struct bench_options *options, const struct bench_text *text,
                        const struct sequence_report *report)
{
    int32_t *final = text->final + (int64_t)report->number * options->length;
    for (size_t c = 0; c < report->n_changed; c++)
        final[report->positions[c]] = (int32_t)report->ids[c];
}

/* All ranks run the same batch: the plan is the same everywhere, nothing needs to be sent. */
static enum status run_text(struct model *model, struct batch *batch, struct plan *plan,
                            const struct bench_options *options, const struct bench_text *text,
                            struct bench_figures *figures, struct error *error)
{
    enum status status = STATUS_OK;
    for (int i = 0; i < options->batch && status == STATUS_OK; i++)
        status = add_text(model, batch, options, text, i, error);
    struct bench_figures before = counters_of(model);
    double start = clock_seconds(), needed = 0;
    for (int i = 0; i < options->n_steps && status == STATUS_OK; i++) {
        batch_plan(batch, plan);
        needed += plan->header->n_needed;
        status = model_step(model, plan, error);
        if (status != STATUS_OK)
            break;
        int n = batch_apply(batch, plan, model->sampler.sampled, text->reports);
        for (int r = 0; r < n; r++)
            take_report(options, text, &text->reports[r]);
    }
    *figures = counters_of(model);
    figures->seconds = clock_seconds() - start;
    figures->head_passes = needed / options->length / options->batch;
    subtract(figures, &before);
    figures->checksum = checksum_of(text->final, options->batch * options->length);
    return status;
}

enum { CEILING_WIDTH = 1024 };

/* The best rate of y = x w^T, [1024, 1024] each. */
static enum status time_product(const struct backend *backend, struct device *device, float *x, float *y,
                                const struct weight *weight, double *flops, struct error *error)
{
    enum { REPEATS = 15 };
    const struct matmul op = {.x = x,
                              .ld_x = CEILING_WIDTH,
                              .rows = CEILING_WIDTH,
                              .weight = weight,
                              .y = y,
                              .ld_y = CEILING_WIDTH};
    *flops = 0;
    for (int i = 0; i < REPEATS; i++) {
        double start = clock_seconds();
        backend->matmul(device, &op);
        enum status status = backend->synchronize(device, error);
        if (status != STATUS_OK)
            return status;
        *flops =
            fmax(*flops, 2.0 * CEILING_WIDTH * CEILING_WIDTH * CEILING_WIDTH / (clock_seconds() - start));
    }
    return STATUS_OK;
}

/* Operations per second of a matrix product that is large enough to be at its best; on a device of its own, whose scratch fits it. */
static enum status measure_ceiling(const struct backend *backend, int n_threads, double *flops,
                                   struct error *error)
{
    const struct device_options options = {
        .n_threads = n_threads, .max_rows = CEILING_WIDTH, .max_positions = 1, .max_columns = CEILING_WIDTH};
    size_t size = (size_t)CEILING_WIDTH * CEILING_WIDTH * sizeof(float);
    struct device *device;
    enum status status = backend->open(&device, &options, error);
    if (status != STATUS_OK)
        return status;
    float *w = calloc(1, size), *x = backend->allocate(device, size), *y = backend->allocate(device, size);
    struct weight *weight = NULL;
    const struct matrix_view view = {w, DTYPE_F32, CEILING_WIDTH, CEILING_WIDTH, CEILING_WIDTH};
    if (!w || !x || !y)
        status = error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory to measure the ceiling");
    if (status == STATUS_OK)
        status = backend->weight_create(device, WEIGHT_PRODUCT, &view, 1, NULL, 1, &weight, error);
    if (status == STATUS_OK) {
        status = time_product(backend, device, x, y, weight, flops, error);
        backend->weight_free(device, weight);
    }
    backend->release(device, x);
    backend->release(device, y);
    free(w);
    backend->close(device);
    return status;
}

static double peak_bytes(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss * 1024;
}

static void print(const struct model *model, const struct bench_options *options,
                  const struct bench_figures *all)
{
    const struct bench_figures *mine = &all[0];
    double flop = 0, ceiling = 0, peak = 0;
    for (int rank = 0; rank < model->collective->n_ranks; rank++) {
        flop += all[rank].flop;
        ceiling += all[rank].ceiling_flops;
        peak += all[rank].peak_bytes;
    }
    double other = mine->seconds - mine->matmul - mine->attention - mine->head - mine->communication;
    char checksum[17];
    snprintf(checksum, sizeof checksum, "%016llx", (unsigned long long)mine->checksum);
    json_t *line =
        json_pack("{s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:f, s:f, s:{s:f, s:f, s:f, s:f, s:f}, s:f, s:f, s:f, "
                  "s:f, s:f, s:f, "
                  "s:f, s:s}",
                  "model", options->model_name, "device", model->backend->describe(model->device), "ranks",
                  model->collective->n_ranks, "threads", options->n_threads, "batch", options->batch,
                  "length", options->length, "steps", options->n_steps, "seconds", mine->seconds,
                  "tokens_per_second", (double)options->batch * options->length / mine->seconds, "share",
                  "matmul", mine->matmul / mine->seconds, "attention", mine->attention / mine->seconds,
                  "head", mine->head / mine->seconds, "communication", mine->communication / mine->seconds,
                  "other", other / mine->seconds, "gflop", flop * 1e-9, "head_passes", mine->head_passes,
                  "gflops", flop * 1e-9 / mine->seconds, "ceiling_gflops", ceiling * 1e-9,
                  "fraction_of_ceiling", flop / mine->seconds / ceiling, "peak_memory_mib", peak / 1048576,
                  "load_seconds", model->load_seconds, "checksum", checksum);
    json_dumpf(line, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(line);
}

static enum status measure(struct model *model, struct batch *batch, struct plan *plan,
                           const struct bench_options *options, const struct bench_text *text,
                           struct bench_figures *best, struct error *error)
{
    enum status status = STATUS_OK;
    best->seconds = INFINITY;
    for (int i = 0; i < options->repeats && status == STATUS_OK; i++) {
        struct bench_figures figures;
        status = run_text(model, batch, plan, options, text, &figures, error);
        if (status == STATUS_OK && figures.seconds < best->seconds)
            *best = figures;
    }
    best->peak_bytes = peak_bytes();
    return status == STATUS_OK
               ? measure_ceiling(model->backend, options->n_threads, &best->ceiling_flops, error)
               : status;
}

enum status bench_run(struct model *model, const struct bench_options *options, struct error *error)
{
    struct plan_limits limits = {.max_sequences = options->batch, .max_rows = model->forward.limits.max_rows};
    struct plan plan = {0};
    struct batch *batch = NULL;
    size_t length = (size_t)options->length;
    size_t texts = (size_t)options->batch;
    struct bench_text text = {calloc(length, sizeof *text.ids), calloc(length, 1),
                              calloc(texts * length, sizeof *text.final),
                              calloc(texts, sizeof *text.reports)};
    struct bench_figures mine, *all = calloc((size_t)model->collective->n_ranks, sizeof *all);
    enum status status = plan_init(&plan, limits, error);
    if (status == STATUS_OK)
        status = batch_create(&model->weights.config, limits, &batch, error);
    if (status == STATUS_OK && options->without_thinning)
        batch_thin_no_more(batch);
    if (status == STATUS_OK && !(text.ids && text.editable && text.final && text.reports && all))
        status = error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a text of %zu tokens", length);
    if (status == STATUS_OK)
        status = measure(model, batch, &plan, options, &text, &mine, error);
    if (status == STATUS_OK) {
        model->collective->table->exchange(model->collective, &mine, sizeof mine, all);
        if (model->collective->rank == 0)
            print(model, options, all);
    }
    free(text.ids);
    free(text.editable);
    free(text.final);
    free(text.reports);
    free(all);
    batch_free(batch);
    plan_release(&plan);
    return status;
}
