#include "worker/tools/elbo.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/philox.h"
#include "common/clock.h"
#include "common/model/network.h"

struct elbo_window elbo_window_at(const struct elbo_options *options, const struct model_config *config,
                                  size_t n_ids, const int32_t *order, int index)
{
    double exponent = config->scheduler_exponent, n = options->n_windows;
    double place = fmod(philox_uniform(options->seed, 0, 0, PHILOX_INITIAL) + index / n, 1);
    size_t places = n_ids - (size_t)options->length + 1;
    struct elbo_window window = {.kappa = place * pow(1 - ELBO_STEP, exponent),
                                 .first = (size_t)(order[index] / n * (double)places)};
    window.t = (float)pow(window.kappa, 1 / exponent);
    return window;
}

void elbo_shuffle(int32_t *order, int n, uint64_t seed)
{
    for (int i = 0; i < n; i++)
        order[i] = i;
    for (int i = n - 1; i > 0; i--) {
        int other = (int)(philox_uniform(seed, (uint32_t)i, 1, PHILOX_INITIAL) * (i + 1));
        int32_t moved = order[i];
        order[i] = order[other];
        order[other] = moved;
    }
}

int32_t elbo_corrupt(const struct model_config *config, const struct elbo_window *window, uint64_t seed,
                     int index, int position, int32_t token)
{
    uint32_t step = (uint32_t)index, place = (uint32_t)position;
    if (philox_uniform(seed, step, place, PHILOX_JUMP) < window->kappa)
        return token;
    if (config->source == SOURCE_MASK)
        return config->mask_token;
    return (int32_t)(philox_uniform(seed, step, place, PHILOX_DRAW) * config->vocabulary);
}

double elbo_term(double kappa, bool is_same, double p_noisy, double log_p_clean)
{
    return -(is_same ? p_noisy - 1 : p_noisy + log_p_clean) / (1 - kappa);
}

/* One measurement. The memory is that of one pass, which takes as many windows as the model has room for. */
struct elbo {
    struct model *model;
    const struct elbo_options *options;
    struct plan plan;
    struct elbo_window *windows;                   /* [max_sequences] */
    int32_t *order;                                /* [n_windows] */
    int32_t *clean;                                /* [max_rows]: x_1; x_t is plan.ids */
    double *clean_logit, *noisy_logit, *log_total; /* [max_rows]: l(x_1), l(x_t), ln Σ exp l */
    double *nats;                                  /* [n_windows] */
    struct exp_sum *groups;                        /* [VOCABULARY_GROUPS, the sampler's block_rows] */
    float *logits;                                 /* [n_ranks, block_rows] */
    int *group_bytes, *logit_bytes;                /* [n_ranks] */
};

static void release(struct elbo *elbo)
{
    plan_release(&elbo->plan);
    void *const memory[] = {elbo->windows,     elbo->order,       elbo->clean,      elbo->clean_logit,
                            elbo->noisy_logit, elbo->log_total,   elbo->nats,       elbo->groups,
                            elbo->logits,      elbo->group_bytes, elbo->logit_bytes};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        free(memory[i]);
}

static bool allocate(struct elbo *elbo)
{
    struct plan_limits limits = elbo->model->forward.limits;
    size_t rows = (size_t)limits.max_rows, n_ranks = (size_t)elbo->model->collective->n_ranks,
           n_windows = (size_t)elbo->options->n_windows, block = (size_t)elbo->model->sampler.block_rows;
    bool all = (elbo->windows = calloc((size_t)limits.max_sequences, sizeof *elbo->windows)) != NULL;
    all &= (elbo->order = calloc(n_windows, sizeof *elbo->order)) != NULL;
    all &= (elbo->clean = calloc(rows, sizeof *elbo->clean)) != NULL;
    all &= (elbo->clean_logit = calloc(rows, sizeof(double))) != NULL;
    all &= (elbo->noisy_logit = calloc(rows, sizeof(double))) != NULL;
    all &= (elbo->log_total = calloc(rows, sizeof(double))) != NULL;
    all &= (elbo->nats = calloc(n_windows, sizeof(double))) != NULL;
    all &= (elbo->groups = calloc(VOCABULARY_GROUPS * block, sizeof *elbo->groups)) != NULL;
    all &= (elbo->logits = calloc(n_ranks * block, sizeof(float))) != NULL;
    all &= (elbo->group_bytes = calloc(n_ranks, sizeof(int))) != NULL;
    all &= (elbo->logit_bytes = calloc(n_ranks, sizeof(int))) != NULL;
    return all;
}

/* Plans a pass over `n` windows from `index` on. Each has its own t, and every row is needed. */
static void plan_windows(struct elbo *elbo, const int32_t *ids, size_t n_ids, int index, int n)
{
    const struct elbo_options *options = elbo->options;
    const struct model_config *config = &elbo->model->weights.config;
    int length = options->length;
    *elbo->plan.header = (struct plan_header){PLAN_STEP, n, n * length, n * length};
    for (int w = 0; w < n; w++) {
        struct elbo_window *window = &elbo->windows[w];
        *window = elbo_window_at(options, config, n_ids, elbo->order, index + w);
        elbo->plan.sequences[w] =
            (struct plan_sequence){.at = {.t = window->t, .h = (float)ELBO_STEP, .bound = -1},
                                   .first_row = w * length,
                                   .end_row = (w + 1) * length,
                                   .first_needed = w * length,
                                   .end_needed = (w + 1) * length,
                                   .inverse_temperature = 1};
        for (int i = 0; i < length; i++) {
            int row = w * length + i;
            elbo->clean[row] = ids[window->first + (size_t)i];
            elbo->plan.ids[row] = elbo_corrupt(config, window, options->seed, index + w, i, elbo->clean[row]);
            elbo->plan.needed[row] = row;
        }
    }
}

/* Computes this rank's groups and logits of a block's rows, with `tokens` left out, and gathers all ranks'.
 */
static void scan(struct elbo *elbo, const void *x, const int32_t *tokens, int first, int rows)
{
    struct sampler *sampler = &elbo->model->sampler;
    const struct model_weights *weights = sampler->weights;
    const struct backend *backend = weights->backend;
    struct collective *collective = sampler->collective;
    const struct head_scan op = {.x = x,
                                 .rows = rows,
                                 .weight = weights->head,
                                 .bias = weights->head_bias,
                                 .first_column = weights->shard.columns.first,
                                 .n_groups = range_size(weights->shard.groups),
                                 .group_column = weights->shard.group_column,
                                 .inverse_temperature = sampler->inputs->rows.inverse_temperature + first,
                                 .left_out = sampler->left_out,
                                 .tiles = sampler->tiles,
                                 .groups = sampler->groups_mine,
                                 .left_out_logit = sampler->left_out_mine};
    for (int rank = 0; rank < collective->n_ranks; rank++) {
        elbo->group_bytes[rank] =
            range_size(shard_groups(rank, collective->n_ranks)) * rows * (int)sizeof(struct exp_sum);
        elbo->logit_bytes[rank] = rows * (int)sizeof(float);
    }
    backend->upload(weights->device, sampler->left_out, tokens, (size_t)rows * sizeof *tokens);
    backend->head_scan(weights->device, &op);
    collective->table->gather(collective, sampler->groups_mine, elbo->group_bytes, sampler->groups_all);
    collective->table->gather(collective, sampler->left_out_mine, elbo->logit_bytes, sampler->left_out_all);
    backend->download(weights->device, elbo->groups, sampler->groups_all,
                      VOCABULARY_GROUPS * (size_t)rows * sizeof *elbo->groups);
    backend->download(weights->device, elbo->logits, sampler->left_out_all,
                      (size_t)collective->n_ranks * (size_t)rows * sizeof *elbo->logits);
}

/* One rank holds the token's logit; the others say -INFINITY. */
static double logit_of_row(const struct elbo *elbo, int rows, int row)
{
    double logit = -INFINITY;
    for (int rank = 0; rank < elbo->model->collective->n_ranks; rank++)
        logit = fmax(logit, (double)elbo->logits[rank * rows + row]);
    return logit;
}

/* ln(exp(logit) + Σ over the groups) */
static double log_total_of_row(const struct elbo *elbo, int rows, int row, double logit)
{
    double max = logit, sum = 0;
    for (int group = 0; group < VOCABULARY_GROUPS; group++)
        max = fmax(max, (double)elbo->groups[group * rows + row].max);
    for (int group = 0; group < VOCABULARY_GROUPS; group++) {
        const struct exp_sum *part = &elbo->groups[group * rows + row];
        sum += part->sum > 0 ? (double)part->sum * exp((double)part->max - max) : 0;
    }
    return max + log(sum + exp(logit - max));
}

static enum status scan_block(struct elbo *elbo, const void *x, int first, int rows, struct error *error)
{
    struct model *model = elbo->model;
    const void *block = (const char *)x + (size_t)first * model->sampler.row_bytes;
    scan(elbo, block, elbo->clean + first, first, rows);
    enum status status = model->backend->synchronize(model->device, error);
    for (int i = 0; i < rows && status == STATUS_OK; i++) {
        elbo->clean_logit[first + i] = logit_of_row(elbo, rows, i);
        elbo->log_total[first + i] = log_total_of_row(elbo, rows, i, elbo->clean_logit[first + i]);
    }
    if (status != STATUS_OK)
        return status;
    scan(elbo, block, elbo->plan.ids + first, first, rows);
    status = model->backend->synchronize(model->device, error);
    for (int i = 0; i < rows && status == STATUS_OK; i++)
        elbo->noisy_logit[first + i] = logit_of_row(elbo, rows, i);
    return status;
}

static double nats_of_window(const struct elbo *elbo, int w)
{
    double sum = 0;
    for (int row = w * elbo->options->length; row < (w + 1) * elbo->options->length; row++)
        sum += elbo_term(elbo->windows[w].kappa, elbo->clean[row] == elbo->plan.ids[row],
                         exp(elbo->noisy_logit[row] - elbo->log_total[row]),
                         elbo->clean_logit[row] - elbo->log_total[row]);
    return sum / elbo->options->length;
}

/* Every rank makes the same plan. Nothing needs to be sent. */
static enum status measure_pass(struct elbo *elbo, const int32_t *ids, size_t n_ids, int index, int n,
                                struct error *error)
{
    plan_windows(elbo, ids, n_ids, index, n);
    const void *x = forward_run(&elbo->model->forward, &elbo->plan, 0);
    enum status status = STATUS_OK;
    int rows = elbo->plan.header->n_needed, block = elbo->model->sampler.block_rows;
    for (int first = 0; first < rows && status == STATUS_OK; first += block)
        status = scan_block(elbo, x, first, rows - first < block ? rows - first : block, error);
    for (int w = 0; w < n && status == STATUS_OK; w++)
        elbo->nats[index + w] = nats_of_window(elbo, w);
    if (status == STATUS_OK && elbo->model->collective->status != STATUS_OK)
        return error_set(error, elbo->model->collective->status, "the exchange between the ranks broke");
    return status;
}

/* Half the mean square of the differences of neighbours in κ is the variance within a stratum, and a little
 * more. The windows' κ grow from one to the next, except at one place, where they begin again. */
static double variance_of(const struct elbo *elbo)
{
    int n = elbo->options->n_windows, n_pairs = 0;
    double offset = philox_uniform(elbo->options->seed, 0, 0, PHILOX_INITIAL), squares = 0;
    for (int i = 1; i < n; i++) {
        double difference = elbo->nats[i] - elbo->nats[i - 1];
        bool begins_again = floor(offset + (double)i / n) > floor(offset + (double)(i - 1) / n);
        squares += begins_again ? 0 : difference * difference;
        n_pairs += !begins_again;
    }
    return n_pairs > 0 ? squares / (2 * n_pairs) : NAN;
}

static void sum_up(const struct elbo *elbo, struct elbo_result *result)
{
    int n = elbo->options->n_windows;
    double width = pow(1 - ELBO_STEP, elbo->model->weights.config.scheduler_exponent), sum = 0;
    for (int i = 0; i < n; i++)
        sum += elbo->nats[i];
    result->nats = width * sum / n;
    result->error = width * sqrt(variance_of(elbo) / n);
}

static enum status check(const struct model *model, const struct elbo_options *options, const int32_t *ids,
                         size_t n_ids, struct error *error)
{
    const struct model_config *config = &model->weights.config;
    if (options->length > config->max_length)
        return error_set(error, STATUS_INVALID_ARGUMENT, "--length %d is more than this model's %d",
                         options->length, config->max_length);
    if (n_ids < (size_t)options->length)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "the text has %zu tokens, fewer than a window of %d (--length)", n_ids,
                         options->length);
    for (size_t i = 0; i < n_ids; i++)
        if (ids[i] < 0 || ids[i] >= config->vocabulary)
            return error_set(error, STATUS_INVALID_ARGUMENT,
                             "token %zu of the text is %d; this model has 0 to %d", i, ids[i],
                             config->vocabulary - 1);
    return STATUS_OK;
}

enum status elbo_measure(struct model *model, const struct elbo_options *options, const int32_t *ids,
                         size_t n_ids, struct elbo_result *result, struct error *error)
{
    struct elbo elbo = {.model = model, .options = options};
    struct plan_limits limits = model->forward.limits;
    enum status status = check(model, options, ids, n_ids, error);
    if (status == STATUS_OK)
        status = plan_init(&elbo.plan, limits, error);
    if (status == STATUS_OK && !allocate(&elbo))
        status = error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for windows of %d tokens",
                           options->length);
    status = collective_agree(model->collective, status, error);
    if (status == STATUS_OK)
        elbo_shuffle(elbo.order, options->n_windows, options->seed);
    int at_a_time = limits.max_rows / options->length;
    at_a_time = at_a_time < limits.max_sequences ? at_a_time : limits.max_sequences;
    for (int index = 0; index < options->n_windows && status == STATUS_OK; index += at_a_time) {
        int left = options->n_windows - index;
        status = measure_pass(&elbo, ids, n_ids, index, left < at_a_time ? left : at_a_time, error);
    }
    if (status == STATUS_OK)
        sum_up(&elbo, result);
    release(&elbo);
    return status;
}

/* The file's numbers; *ids is malloc'ed. */
static enum status read_ids(const char *path, int32_t **ids, size_t *n_ids, struct error *error)
{
    FILE *file = fopen(path, "r");
    int32_t *read = NULL;
    size_t n = 0, capacity = 0;
    int32_t id;
    if (!file)
        return error_set(error, STATUS_NOT_FOUND, "%s cannot be opened: %s", path, strerror(errno));
    while (fscanf(file, "%" SCNd32, &id) == 1) {
        if (n == capacity) {
            int32_t *larger = realloc(read, (capacity = 2 * capacity + 65536) * sizeof *larger);
            if (!larger)
                break;
            read = larger;
        }
        read[n++] = id;
    }
    bool whole = feof(file) != 0;
    fclose(file);
    if (!whole) {
        free(read);
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "%s: what follows the first %zu numbers is no token id", path, n);
    }
    *ids = read;
    *n_ids = n;
    return STATUS_OK;
}

static void print(const struct model *model, const struct elbo_options *options,
                  const struct elbo_result *result, double seconds)
{
    const struct model_config *config = &model->weights.config;
    double dt = network_of(config->architecture)->time == TIME_FLOW_AND_STEP ? ELBO_STEP : 0;
    json_t *line =
        json_pack("{s:s, s:i, s:i, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:i}", "model", config->name,
                  "windows", options->n_windows, "length", options->length, "seed", (json_int_t)options->seed,
                  "dt", dt, "t_end", 1 - ELBO_STEP, "nats_per_token", result->nats, "nats_error",
                  isnan(result->error) ? 0 : result->error, "bits_per_token", result->nats / log(2),
                  "bits_error", isnan(result->error) ? 0 : result->error / log(2), "seconds", seconds,
                  "ranks", model->collective->n_ranks);
    json_dumpf(line, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(10));
    putchar('\n');
    json_decref(line);
}

/* The bound is of FS-DFM's paths. */
static enum status check_network(const struct model *model, struct error *error)
{
    const struct model_config *config = &model->weights.config;
    if (!model_has_laws(config))
        return STATUS_OK;
    return error_set(error, STATUS_FAILED_PRECONDITION, "there is no likelihood bound for a %s model yet",
                     architecture_name(config->architecture));
}

enum status elbo_run(struct model *model, const struct elbo_options *options, struct error *error)
{
    int32_t *ids = NULL;
    size_t n_ids = 0;
    struct elbo_result result;
    double start = clock_seconds();
    enum status status = check_network(model, error);
    if (status == STATUS_OK)
        status = read_ids(options->path, &ids, &n_ids, error);
    status = collective_agree(model->collective, status, error);
    if (status == STATUS_OK)
        status = elbo_measure(model, options, ids, n_ids, &result, error);
    if (status == STATUS_OK && model->collective->rank == 0)
        print(model, options, &result, clock_seconds() - start);
    free(ids);
    return status;
}
