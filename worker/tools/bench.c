#include "worker/tools/bench.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common/philox.h"
#include "worker/engine/steps.h"
#include "common/clock.h"

/* What one rank measured. The ranks exchange it as it lies in memory. */
struct bench_figures {
    double seconds, matmul, attention, head, communication;
    double flop, ceiling_flops, peak_bytes, device_bytes;
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
                                         .solver = config->default_solver,
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

/* Every rank runs the same batch and so makes the same plan. Nothing needs to be sent. */
static enum status run_text(struct model *model, struct steps *steps, const struct bench_options *options,
                            const struct bench_text *text, struct bench_figures *figures, struct error *error)
{
    enum status status = STATUS_OK;
    for (int i = 0; i < options->batch && status == STATUS_OK; i++)
        status = add_text(model, steps->batch, options, text, i, error);
    struct bench_figures before = counters_of(model);
    double start = clock_seconds(), needed = 0;
    for (int n; batch_size(steps->batch) > 0 && status == STATUS_OK;) { /* a step may be two passes */
        double seconds;
        status = steps_turn(steps, text->reports, &n, &seconds, error);
        if (status != STATUS_OK)
            break;
        needed += steps->last.n_needed;
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

/* A product y = x w^T, all of [width, width]. The width is large enough for the best rate; a GPU needs more.
 */
struct ceiling {
    const struct backend *backend;
    struct device *device;
    int width;
    void *x, *y;
    struct weight *weight;
};

/* *flops: operations per second of `n` products. A device that only enqueues gets all of them at once. */
static enum status time_products(const struct ceiling *ceiling, int n, double *flops, struct error *error)
{
    enum dtype type = ceiling->backend->activation_type(ceiling->device);
    const struct matmul op = {.x = ceiling->x,
                              .x_type = type,
                              .ld_x = ceiling->width,
                              .rows = ceiling->width,
                              .weight = ceiling->weight,
                              .y = ceiling->y,
                              .y_type = type,
                              .ld_y = ceiling->width};
    double start = clock_seconds(), width = ceiling->width;
    for (int i = 0; i < n; i++)
        ceiling->backend->matmul(ceiling->device, &op);
    enum status status = ceiling->backend->synchronize(ceiling->device, error);
    *flops = 2.0 * n * width * width * width / (clock_seconds() - start);
    return status;
}

static enum status best_product(const struct ceiling *ceiling, double *flops, struct error *error)
{
    enum { REPEATS = 15 };
    int at_once = ceiling->backend->on_host ? 1 : 8;
    enum status status = STATUS_OK;
    *flops = 0;
    for (int i = 0; i < REPEATS && status == STATUS_OK; i++) {
        double once;
        status = time_products(ceiling, at_once, &once, error);
        *flops = fmax(*flops, once);
    }
    return status;
}

/* Numbers in [-1/2, 1/2): a GPU multiplies zeros faster than numbers, since they take less power. */
static void fill_random(float *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t x = (i + 1) * 0x9E3779B97F4A7C15u;
        values[i] = (float)((x ^ x >> 31) & 0xFFFF) * 0x1p-16f - 0.5f;
    }
}

/* The upper half of a float is a bf16, in place: any number will do. */
static void cut_to(enum dtype type, float *values, size_t n)
{
    uint16_t *words = (uint16_t *)(void *)values;
    for (size_t i = 0; type == DTYPE_BF16 && i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        words[i] = (uint16_t)(bits >> 16);
    }
}

static enum status prepare_product(struct ceiling *ceiling, struct error *error)
{
    size_t n = (size_t)ceiling->width * (size_t)ceiling->width;
    enum dtype type = ceiling->backend->activation_type(ceiling->device);
    float *w = malloc(n * sizeof *w);
    const struct matrix_view view = {w, DTYPE_F32, ceiling->width, ceiling->width, ceiling->width};
    ceiling->x = ceiling->backend->allocate(ceiling->device, n * sizeof(float));
    ceiling->y = ceiling->backend->allocate(ceiling->device, n * sizeof(float));
    enum status status = STATUS_OK;
    if (!w || !ceiling->x || !ceiling->y)
        status = error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory to measure the ceiling");
    if (status == STATUS_OK) {
        fill_random(w, n);
        status = ceiling->backend->weight_create(ceiling->device, WEIGHT_PRODUCT, &view, 1, NULL, 1,
                                                 &ceiling->weight, error);
    }
    if (status == STATUS_OK) {
        cut_to(type, w, n);
        ceiling->backend->upload(ceiling->device, ceiling->x, w, n * dtype_bytes(type));
        status = ceiling->backend->synchronize(ceiling->device, error);
    }
    free(w);
    return status;
}

/* Operations per second at one width. Opens a device of its own, with scratch for that width. */
static enum status measure_width(const struct model *model, const struct bench_options *options, int width,
                                 double *flops, struct error *error)
{
    struct ceiling ceiling = {.backend = model->backend, .width = width};
    const struct device_options device_options = {
        .n_threads = options->n_threads,
        .index = options->gpu >= 0 ? options->gpu : -1 - model->collective->local_rank,
        .precision = options->precision,
        .max_rows = width,
        .max_positions = 1,
        .max_columns = width};
    enum status status = ceiling.backend->open(&ceiling.device, &device_options, error);
    if (status != STATUS_OK)
        return status;
    status = prepare_product(&ceiling, error);
    if (status == STATUS_OK)
        status = best_product(&ceiling, flops, error);
    if (ceiling.weight)
        ceiling.backend->weight_free(ceiling.device, ceiling.weight);
    ceiling.backend->release(ceiling.device, ceiling.x);
    ceiling.backend->release(ceiling.device, ceiling.y);
    ceiling.backend->close(ceiling.device);
    return status;
}

/* The best rate over growing widths, for as long as a product takes milliseconds. A GPU needs large products;
 * an emulated GPU would take for ever. */
static enum status measure_ceiling(const struct model *model, const struct bench_options *options,
                                   double *flops, struct error *error)
{
    enum { WIDTH = 1024, LEAST_GPU = 128, MOST_GPU = 8192 };
    const double patience_seconds = 2e-3;
    if (model->backend->on_host)
        return measure_width(model, options, WIDTH, flops, error);
    enum status status = STATUS_OK;
    bool quick = true;
    *flops = 0;
    for (int width = LEAST_GPU; width <= MOST_GPU && quick && status == STATUS_OK; width *= 2) {
        double rate = 0;
        status = measure_width(model, options, width, &rate, error);
        *flops = fmax(*flops, rate);
        quick = 2.0 * width * width * width < rate * patience_seconds;
    }
    return status;
}

static double peak_bytes(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss * 1024;
}

/* What is in use on the GPU, by whomever; 0 on a CPU. */
static double device_bytes(const struct model *model)
{
    if (model->backend->on_host)
        return 0;
    struct device_memory memory = model->backend->memory(model->device);
    return (double)(memory.total_bytes - memory.free_bytes);
}

/* Where the time went, by the host's clocks. A GPU is only handed its work: they know it where it is waited
 * for. */
static json_t *shares(const struct model *model, const struct bench_figures *figures)
{
    double seconds = figures->seconds, named = figures->matmul + figures->attention + figures->head;
    if (!model->backend->on_host && !model->forward.is_timed)
        return json_null();
    return json_pack("{s:f, s:f, s:f, s:f, s:f}", "matmul", figures->matmul / seconds, "attention",
                     figures->attention / seconds, "head", figures->head / seconds, "communication",
                     figures->communication / seconds, "other",
                     (seconds - named - figures->communication) / seconds);
}

static void print(const struct model *model, const struct bench_options *options,
                  const struct bench_figures *all)
{
    const struct bench_figures *mine = &all[0];
    double flop = 0, ceiling = 0, peak = 0, on_devices = 0;
    for (int rank = 0; rank < model->collective->n_ranks; rank++) {
        flop += all[rank].flop;
        ceiling += all[rank].ceiling_flops;
        peak += all[rank].peak_bytes;
        on_devices += all[rank].device_bytes;
    }
    char checksum[17];
    snprintf(checksum, sizeof checksum, "%016llx", (unsigned long long)mine->checksum);
    json_t *line =
        json_pack("{s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:f, s:f, s:o, s:f, s:f, s:f, "
                  "s:f, s:f, s:f, "
                  "s:f, s:f, s:s}",
                  "model", options->model_name, "device", model->backend->describe(model->device), "ranks",
                  model->collective->n_ranks, "threads", options->n_threads, "batch", options->batch,
                  "length", options->length, "steps", options->n_steps, "seconds", mine->seconds,
                  "tokens_per_second", (double)options->batch * options->length / mine->seconds, "share",
                  shares(model, mine), "gflop", flop * 1e-9, "head_passes", mine->head_passes, "gflops",
                  flop * 1e-9 / mine->seconds, "ceiling_gflops", ceiling * 1e-9, "fraction_of_ceiling",
                  flop / mine->seconds / ceiling, "peak_memory_mib", peak / 1048576, "device_memory_mib",
                  on_devices / 1048576, "load_seconds", model->load_seconds, "checksum", checksum);
    json_dumpf(line, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(line);
}

static enum status measure(struct model *model, struct steps *steps, const struct bench_options *options,
                           const struct bench_text *text, struct bench_figures *best, struct error *error)
{
    enum status status = STATUS_OK;
    best->seconds = INFINITY;
    for (int i = 0; i < options->repeats && status == STATUS_OK; i++) {
        struct bench_figures figures;
        status = run_text(model, steps, options, text, &figures, error);
        if (status == STATUS_OK && figures.seconds < best->seconds)
            *best = figures;
    }
    best->peak_bytes = peak_bytes();
    best->device_bytes = device_bytes(model);
    best->ceiling_flops = options->ceiling_flops / model->collective->n_ranks;
    if (options->ceiling_flops > 0)
        return status;
    return status == STATUS_OK ? measure_ceiling(model, options, &best->ceiling_flops, error) : status;
}

enum status bench_run(struct model *model, const struct bench_options *options, struct error *error)
{
    struct plan_limits limits = {.max_sequences = options->batch, .max_rows = model->forward.limits.max_rows};
    struct steps steps = {0};
    struct batch *batch = NULL;
    size_t length = (size_t)options->length;
    size_t texts = (size_t)options->batch;
    struct bench_text text = {calloc(length, sizeof *text.ids), calloc(length, 1),
                              calloc(texts * length, sizeof *text.final),
                              calloc(texts, sizeof *text.reports)};
    struct bench_figures mine, *all = calloc((size_t)model->collective->n_ranks, sizeof *all);
    enum status status = batch_create(&model->weights.config, limits, &batch, error);
    if (status == STATUS_OK)
        status = steps_init(&steps, model, batch, limits, error);
    steps.run_ahead = options->run_ahead;
    model->forward.is_timed = model->sampler.is_timed = options->phases;
    if (status == STATUS_OK && options->without_thinning)
        batch_thin_no_more(batch);
    if (status == STATUS_OK && !(text.ids && text.editable && text.final && text.reports && all))
        status = error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a text of %zu tokens", length);
    if (status == STATUS_OK)
        status = measure(model, &steps, options, &text, &mine, error);
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
    steps_release(&steps);
    batch_free(batch);
    return status;
}
