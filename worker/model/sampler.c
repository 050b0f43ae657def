#include "worker/model/sampler.h"

#include <stdbool.h>
#include <stdlib.h>

#include "common/clock.h"

static int least(int a, int b)
{
    return a < b ? a : b;
}

static bool allocate_device(struct sampler *sampler)
{
    const struct model_weights *weights = sampler->weights;
    size_t n_ranks = (size_t)sampler->collective->n_ranks, n_tiles = (size_t)shard_tiles(&weights->shard);
    size_t others = n_ranks > 1, laws = sampler->inputs->has_laws; /* one rank's parts are all there is */
    const struct {
        void **at;
        size_t size; /* of a row; 0: not wanted */
    } wanted[] = {
        {(void **)&sampler->tiles, n_tiles * sizeof *sampler->tiles},
        {(void **)&sampler->groups_mine, VOCABULARY_GROUPS * sizeof *sampler->groups_mine},
        {(void **)&sampler->left_out_mine, sizeof *sampler->left_out_mine},
        {(void **)&sampler->left_out, sizeof *sampler->left_out},
        {(void **)&sampler->reported, laws * sizeof *sampler->reported},
        {(void **)&sampler->jump_probability, sizeof *sampler->jump_probability},
        {(void **)&sampler->choice, sizeof *sampler->choice},
        {(void **)&sampler->drawn_mine, sizeof *sampler->drawn_mine},
        {(void **)&sampler->groups_all, others * VOCABULARY_GROUPS * sizeof *sampler->groups_all},
        {(void **)&sampler->left_out_all, others * n_ranks * sizeof *sampler->left_out_all},
        {(void **)&sampler->drawn_all, others * n_ranks * sizeof *sampler->drawn_all},
    };
    bool all = true;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        size_t size = wanted[i].size * (size_t)sampler->block_rows;
        if (size > 0 || wanted[i].at == (void **)&sampler->tiles) /* a rank may have no column */
            all &= (*wanted[i].at = weights->backend->allocate(weights->device, size ? size : 64)) != NULL;
    }
    if (n_ranks == 1) {
        sampler->groups_all = sampler->groups_mine;
        sampler->left_out_all = sampler->left_out_mine;
        sampler->drawn_all = sampler->drawn_mine;
    }
    return all;
}

static bool allocate_outcome(struct sampler *sampler, struct sampler_outcome *outcome)
{
    const struct model_weights *weights = sampler->weights;
    size_t n_ranks = (size_t)sampler->collective->n_ranks, rows = (size_t)sampler->inputs->limits.max_rows;
    void *(*allocate)(struct device *, size_t) = weights->backend->host_allocate;
    bool all = (outcome->choice = allocate(weights->device, rows * sizeof *outcome->choice)) != NULL;
    all &= (outcome->jump_probability =
                allocate(weights->device, rows * sizeof *outcome->jump_probability)) != NULL;
    all &= (outcome->drawn = allocate(weights->device, n_ranks * rows * sizeof *outcome->drawn)) != NULL;
    return all;
}

static bool allocate_host(struct sampler *sampler)
{
    size_t n_ranks = (size_t)sampler->collective->n_ranks, rows = (size_t)sampler->inputs->limits.max_rows;
    bool all = (sampler->sampled = calloc(rows, sizeof *sampler->sampled)) != NULL;
    all &= (sampler->group_bytes = calloc(n_ranks, sizeof *sampler->group_bytes)) != NULL;
    all &= (sampler->logit_bytes = calloc(n_ranks, sizeof *sampler->logit_bytes)) != NULL;
    all &= (sampler->drawn_bytes = calloc(n_ranks, sizeof *sampler->drawn_bytes)) != NULL;
    for (int slot = 0; slot < STEP_SLOTS; slot++)
        all &= allocate_outcome(sampler, &sampler->outcomes[slot]);
    return all;
}

enum status sampler_init(struct sampler *sampler, const struct model_weights *weights,
                         struct collective *collective, struct inputs *inputs, struct error *error)
{
    enum dtype activation = weights->backend->activation_type(weights->device);
    *sampler =
        (struct sampler){.weights = weights,
                         .collective = collective,
                         .inputs = inputs,
                         .block_rows = least(weights->backend->on_host ? SAMPLER_ROWS : SAMPLER_ROWS_GPU,
                                             inputs->limits.max_rows),
                         .row_bytes = (size_t)weights->config.hidden * dtype_bytes(activation)};
    bool device = allocate_device(sampler), host = allocate_host(sampler);
    if (device && host)
        return STATUS_OK;
    int rows = sampler->block_rows;
    sampler_release(sampler);
    return error_set(error, STATUS_RESOURCE_EXHAUSTED,
                     "no memory for sampling %d rows at a time; use a smaller --batch-tokens", rows);
}

void sampler_release(struct sampler *sampler)
{
    if (!sampler->weights)
        return;
    const struct backend *backend = sampler->weights->backend;
    struct device *device = sampler->weights->device;
    bool others = sampler->collective->n_ranks > 1;
    void *const on_device[] = {sampler->tiles,
                               sampler->groups_mine,
                               sampler->left_out_mine,
                               sampler->left_out,
                               sampler->reported,
                               sampler->jump_probability,
                               sampler->choice,
                               sampler->drawn_mine,
                               others ? sampler->groups_all : NULL,
                               others ? sampler->left_out_all : NULL,
                               others ? sampler->drawn_all : NULL};
    void *const on_host[] = {sampler->sampled, sampler->group_bytes, sampler->logit_bytes,
                             sampler->drawn_bytes};
    for (size_t i = 0; i < sizeof on_device / sizeof *on_device; i++)
        backend->release(device, on_device[i]);
    for (size_t i = 0; i < sizeof on_host / sizeof *on_host; i++)
        free(on_host[i]);
    for (int slot = 0; slot < STEP_SLOTS; slot++) {
        backend->host_release(device, sampler->outcomes[slot].choice);
        backend->host_release(device, sampler->outcomes[slot].jump_probability);
        backend->host_release(device, sampler->outcomes[slot].drawn);
    }
    *sampler = (struct sampler){0};
}

int64_t sampler_gathered_floats(int n_ranks, int max_rows)
{
    int64_t rows = least(SAMPLER_ROWS_GPU, max_rows);
    size_t groups = VOCABULARY_GROUPS * sizeof(struct exp_sum),
           drawn = (size_t)n_ranks * sizeof(struct drawn_token);
    return rows * (int64_t)((groups > drawn ? groups : drawn) / sizeof(float));
}

/* A run of needed rows [first, first + n) that is sampled together. */
struct block {
    int first, n;
};

static struct block block_at(const struct sampler *sampler, int first, int n_needed)
{
    return (struct block){first, least(n_needed - first, sampler->block_rows)};
}

static void set_part_sizes(struct sampler *sampler, int rows)
{
    int n_ranks = sampler->collective->n_ranks;
    for (int rank = 0; rank < n_ranks; rank++) {
        sampler->group_bytes[rank] =
            range_size(shard_groups(rank, n_ranks)) * rows * (int)sizeof(struct exp_sum);
        sampler->logit_bytes[rank] = rows * (int)sizeof(float);
        sampler->drawn_bytes[rank] = rows * (int)sizeof(struct drawn_token);
    }
}

/* Selects the token that each row leaves out of its sum: the token that it holds; in the last step the mask
 * token or none. And where there are laws, the token whose logit it reports. */
static void select_left_out(struct sampler *sampler, struct block block)
{
    const struct inputs *inputs = sampler->inputs;
    inputs->backend->select_ids(inputs->device, inputs->ids_now, inputs->rows.left_out_row + block.first,
                                inputs->rows.left_out_other + block.first, block.n, sampler->left_out);
    if (inputs->has_laws)
        inputs->backend->select_ids(inputs->device, inputs->ids_now, inputs->rows.reported_row + block.first,
                                    inputs->rows.reported_other + block.first, block.n, sampler->reported);
}

static struct head_scan scan_of(const struct sampler *sampler, const void *x, struct block block)
{
    const struct model_weights *weights = sampler->weights;
    struct head_scan scan = {.x = (const char *)x + (size_t)block.first * sampler->row_bytes,
                             .rows = block.n,
                             .weight = weights->head,
                             .bias = weights->head_bias,
                             .first_column = weights->shard.columns.first,
                             .n_groups = range_size(weights->shard.groups),
                             .group_column = weights->shard.group_column,
                             .inverse_temperature = sampler->inputs->rows.inverse_temperature + block.first,
                             .left_out = sampler->left_out,
                             .reported = sampler->reported,
                             .tiles = sampler->tiles,
                             .groups = sampler->groups_mine,
                             .left_out_logit = sampler->left_out_mine};
    return scan;
}

static void choose(struct sampler *sampler, struct block block)
{
    const struct model_weights *weights = sampler->weights;
    const struct input_rows *rows = &sampler->inputs->rows;
    const struct head_choose op = {.rows = block.n,
                                   .n_groups = VOCABULARY_GROUPS,
                                   .groups = sampler->groups_all,
                                   .n_ranks = sampler->collective->n_ranks,
                                   .left_out_logit = sampler->left_out_all,
                                   .bound = rows->bound + block.first,
                                   .law = sampler->inputs->has_laws ? rows->law + block.first : NULL,
                                   .u_jump = rows->u_jump + block.first,
                                   .u_draw = rows->u_draw + block.first,
                                   .choice = sampler->choice,
                                   .jump_probability = sampler->jump_probability};
    weights->backend->head_choose(weights->device, &op);
}

static void draw(struct sampler *sampler, const struct head_scan *scan)
{
    const struct model_weights *weights = sampler->weights;
    const struct head_draw op = {.scan = *scan,
                                 .first_group = weights->shard.groups.first,
                                 .choice = sampler->choice,
                                 .drawn = sampler->drawn_mine};
    weights->backend->head_draw(weights->device, &op);
}

/* Writes the drawn tokens into the texts, and enqueues the copy of the block's outcome to the host. */
static void send_back(struct sampler *sampler, struct block block, const struct sampler_outcome *outcome)
{
    const struct inputs *inputs = sampler->inputs;
    const struct backend *backend = inputs->backend;
    size_t n_ranks = (size_t)sampler->collective->n_ranks, first = (size_t)block.first, n = (size_t)block.n;
    backend->write_drawn(inputs->device, sampler->drawn_all, (int)n_ranks, inputs->rows.needed + first,
                         block.n, inputs->ids_now);
    backend->download(inputs->device, outcome->choice + first, sampler->choice, n * sizeof *outcome->choice);
    backend->download(inputs->device, outcome->jump_probability + first, sampler->jump_probability,
                      n * sizeof *outcome->jump_probability);
    backend->download(inputs->device, outcome->drawn + n_ranks * first, sampler->drawn_all,
                      n_ranks * n * sizeof *outcome->drawn);
}

static void sample_block(struct sampler *sampler, const void *x, struct block block,
                         const struct sampler_outcome *outcome)
{
    const struct model_weights *weights = sampler->weights;
    struct collective *collective = sampler->collective;
    struct head_scan scan = scan_of(sampler, x, block);
    set_part_sizes(sampler, block.n);
    select_left_out(sampler, block);
    weights->backend->head_scan(weights->device, &scan);
    collective->table->gather(collective, sampler->groups_mine, sampler->group_bytes, sampler->groups_all);
    collective->table->gather(collective, sampler->left_out_mine, sampler->logit_bytes,
                              sampler->left_out_all);
    choose(sampler, block);
    draw(sampler, &scan);
    collective->table->gather(collective, sampler->drawn_mine, sampler->drawn_bytes, sampler->drawn_all);
    send_back(sampler, block, outcome);
    sampler->flop += 2.0 * block.n * weights->config.hidden * range_size(weights->shard.columns);
    meter_add(sampler->meters, METER_PROGRESS, 1);
}

void sampler_begin(struct sampler *sampler, int n_needed, const void *x, int slot)
{
    double start = clock_seconds(), waited = sampler->collective->seconds;
    sampler->outcomes[slot].n_needed = n_needed;
    for (int first = 0; first < n_needed; first += sampler->block_rows)
        sample_block(sampler, x, block_at(sampler, first, n_needed), &sampler->outcomes[slot]);
    struct error kept; /* by the device */
    if (sampler->is_timed)
        (void)sampler->weights->backend->synchronize(sampler->weights->device, &kept);
    sampler->seconds += clock_seconds() - start - (sampler->collective->seconds - waited);
}

/* Of each drawn row, one rank holds the token. */
static void read_block(struct sampler *sampler, struct block block, const struct sampler_outcome *outcome)
{
    int n_ranks = sampler->collective->n_ranks;
    const struct drawn_token *all = outcome->drawn + (size_t)n_ranks * (size_t)block.first;
    for (int i = 0; i < block.n; i++) {
        int row = block.first + i;
        struct sampled *sampled = &sampler->sampled[row];
        *sampled = (struct sampled){.token = -1, .jump_probability = outcome->jump_probability[row]};
        for (int rank = 0; rank < n_ranks; rank++) {
            const struct drawn_token *drawn = &all[(size_t)rank * (size_t)block.n + (size_t)i];
            if (drawn->token < 0)
                continue;
            sampled->token = drawn->token;
            sampled->log_probability = (float)((double)drawn->logit - outcome->choice[row].log_total);
        }
    }
}

void sampler_end(struct sampler *sampler, int slot)
{
    const struct sampler_outcome *outcome = &sampler->outcomes[slot];
    for (int first = 0; first < outcome->n_needed; first += sampler->block_rows)
        read_block(sampler, block_at(sampler, first, outcome->n_needed), outcome);
}
