#include "worker/sampler.h"

#include <stdbool.h>
#include <stdlib.h>

#include "common/clock.h"

static bool allocate_device(struct sampler *sampler)
{
    const struct model_weights *weights = sampler->weights;
    size_t n_ranks = (size_t)sampler->collective->n_ranks, n_tiles = (size_t)shard_tiles(&weights->shard);
    const struct {
        void **at;
        size_t size;
    } wanted[] = {
        {(void **)&sampler->tiles, n_tiles * sizeof *sampler->tiles},
        {(void **)&sampler->groups_mine, VOCABULARY_GROUPS * sizeof *sampler->groups_mine},
        {(void **)&sampler->groups_all, VOCABULARY_GROUPS * sizeof *sampler->groups_all},
        {(void **)&sampler->left_out_mine, sizeof *sampler->left_out_mine},
        {(void **)&sampler->left_out_all, n_ranks * sizeof *sampler->left_out_all},
        {(void **)&sampler->inverse_temperature, sizeof *sampler->inverse_temperature},
        {(void **)&sampler->left_out, sizeof *sampler->left_out},
        {(void **)&sampler->bound, sizeof *sampler->bound},
        {(void **)&sampler->u_jump, sizeof *sampler->u_jump},
        {(void **)&sampler->u_draw, sizeof *sampler->u_draw},
        {(void **)&sampler->jump_probability, sizeof *sampler->jump_probability},
        {(void **)&sampler->choice, sizeof *sampler->choice},
        {(void **)&sampler->drawn_mine, sizeof *sampler->drawn_mine},
        {(void **)&sampler->drawn_all, n_ranks * sizeof *sampler->drawn_all},
    };
    bool all = true;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        size_t size = wanted[i].size * SAMPLER_ROWS;
        all &= (*wanted[i].at = weights->backend->allocate(weights->device, size ? size : 64)) != NULL;
    }
    return all;
}

static bool allocate_host(struct sampler *sampler)
{
    size_t n_ranks = (size_t)sampler->collective->n_ranks;
    bool all = (sampler->sampled = calloc((size_t)sampler->max_rows, sizeof *sampler->sampled)) != NULL;
    all &= (sampler->group_bytes = calloc(n_ranks, sizeof *sampler->group_bytes)) != NULL;
    all &= (sampler->logit_bytes = calloc(n_ranks, sizeof *sampler->logit_bytes)) != NULL;
    all &= (sampler->drawn_bytes = calloc(n_ranks, sizeof *sampler->drawn_bytes)) != NULL;
    all &= (sampler->host_choice = calloc(SAMPLER_ROWS, sizeof *sampler->host_choice)) != NULL;
    all &= (sampler->host_drawn = calloc(n_ranks * SAMPLER_ROWS, sizeof *sampler->host_drawn)) != NULL;
    all &= (sampler->host_doubles = calloc(SAMPLER_ROWS, sizeof *sampler->host_doubles)) != NULL;
    all &= (sampler->host_left_out = calloc(SAMPLER_ROWS, sizeof *sampler->host_left_out)) != NULL;
    all &= (sampler->host_temperature = calloc(SAMPLER_ROWS, sizeof *sampler->host_temperature)) != NULL;
    return all;
}

enum status sampler_init(struct sampler *sampler, const struct model_weights *weights,
                         struct collective *collective, int max_rows, struct error *error)
{
    enum dtype activation = weights->backend->activation_type(weights->device);
    *sampler = (struct sampler){.weights = weights,
                                .collective = collective,
                                .max_rows = max_rows,
                                .row_bytes = (size_t)weights->config.hidden * dtype_bytes(activation)};
    bool device = allocate_device(sampler), host = allocate_host(sampler);
    if (device && host)
        return STATUS_OK;
    sampler_release(sampler);
    return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for sampling %d rows at a time",
                     SAMPLER_ROWS);
}

void sampler_release(struct sampler *sampler)
{
    if (!sampler->weights)
        return;
    void *const on_device[] = {sampler->tiles,
                               sampler->groups_mine,
                               sampler->groups_all,
                               sampler->left_out_mine,
                               sampler->left_out_all,
                               sampler->inverse_temperature,
                               sampler->left_out,
                               sampler->bound,
                               sampler->u_jump,
                               sampler->u_draw,
                               sampler->jump_probability,
                               sampler->choice,
                               sampler->drawn_mine,
                               sampler->drawn_all};
    void *const on_host[] = {sampler->sampled,      sampler->group_bytes,   sampler->logit_bytes,
                             sampler->drawn_bytes,  sampler->host_choice,   sampler->host_drawn,
                             sampler->host_doubles, sampler->host_left_out, sampler->host_temperature};
    for (size_t i = 0; i < sizeof on_device / sizeof *on_device; i++)
        if (on_device[i])
            sampler->weights->backend->release(sampler->weights->device, on_device[i]);
    for (size_t i = 0; i < sizeof on_host / sizeof *on_host; i++)
        free(on_host[i]);
    *sampler = (struct sampler){0};
}

/* A run of needed rows [first, first + n) that is sampled together. */
struct block {
    int first, n;
};

static void upload(struct sampler *sampler, void *to, const void *from, size_t size_bytes)
{
    sampler->weights->backend->upload(sampler->weights->device, to, from, size_bytes);
}

/* Spells out, row by row, what the rows' sequences ask for. */
static void upload_rows(struct sampler *sampler, const struct plan *plan, struct block block)
{
    int s = 0;
    for (int i = 0; i < block.n; i++) {
        int entry = block.first + i;
        while (entry >= plan->sequences[s].end_needed)
            s++;
        const struct plan_sequence *sequence = &plan->sequences[s];
        bool last = sequence->at.bound < 0;
        int32_t mask = sequence->forbid_mask ? sampler->weights->config.mask_token : -1;
        sampler->host_left_out[i] = last ? mask : plan->ids[plan->needed[entry]];
        sampler->host_temperature[i] = sequence->inverse_temperature;
        sampler->host_doubles[i] = sequence->at.bound;
    }
    size_t n = (size_t)block.n;
    upload(sampler, sampler->left_out, sampler->host_left_out, n * sizeof *sampler->left_out);
    upload(sampler, sampler->inverse_temperature, sampler->host_temperature,
           n * sizeof *sampler->inverse_temperature);
    upload(sampler, sampler->bound, sampler->host_doubles, n * sizeof *sampler->bound);
    upload(sampler, sampler->u_jump, plan->u_jump + block.first, n * sizeof *sampler->u_jump);
    upload(sampler, sampler->u_draw, plan->u_draw + block.first, n * sizeof *sampler->u_draw);
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
                             .inverse_temperature = sampler->inverse_temperature,
                             .left_out = sampler->left_out,
                             .tiles = sampler->tiles,
                             .groups = sampler->groups_mine,
                             .left_out_logit = sampler->left_out_mine};
    return scan;
}

static void choose(struct sampler *sampler, int rows)
{
    const struct model_weights *weights = sampler->weights;
    const struct head_choose op = {.rows = rows,
                                   .n_groups = VOCABULARY_GROUPS,
                                   .groups = sampler->groups_all,
                                   .n_ranks = sampler->collective->n_ranks,
                                   .left_out_logit = sampler->left_out_all,
                                   .bound = sampler->bound,
                                   .u_jump = sampler->u_jump,
                                   .u_draw = sampler->u_draw,
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

/* Brings the block's outcome to the host: each drawn row has one rank that holds its token. */
static enum status read_back(struct sampler *sampler, struct block block, struct error *error)
{
    const struct model_weights *weights = sampler->weights;
    const struct backend *backend = weights->backend;
    int n_ranks = sampler->collective->n_ranks;
    size_t n = (size_t)block.n;
    backend->download(weights->device, sampler->host_choice, sampler->choice,
                      n * sizeof *sampler->host_choice);
    backend->download(weights->device, sampler->host_doubles, sampler->jump_probability, n * sizeof(double));
    backend->download(weights->device, sampler->host_drawn, sampler->drawn_all,
                      (size_t)n_ranks * n * sizeof *sampler->host_drawn);
    enum status status = backend->synchronize(weights->device, error);
    for (int i = 0; i < block.n && status == STATUS_OK; i++) {
        struct sampled *sampled = &sampler->sampled[block.first + i];
        *sampled = (struct sampled){.token = -1, .jump_probability = sampler->host_doubles[i]};
        for (int rank = 0; rank < n_ranks; rank++) {
            const struct drawn_token *drawn = &sampler->host_drawn[(size_t)rank * n + (size_t)i];
            if (drawn->token < 0)
                continue;
            sampled->token = drawn->token;
            sampled->log_probability = (float)((double)drawn->logit - sampler->host_choice[i].log_total);
        }
    }
    return status;
}

static enum status sample_block(struct sampler *sampler, const struct plan *plan, const void *x,
                                struct block block, struct error *error)
{
    const struct model_weights *weights = sampler->weights;
    struct collective *collective = sampler->collective;
    double start = clock_seconds(), waited = collective->seconds;
    struct head_scan scan = scan_of(sampler, x, block);
    set_part_sizes(sampler, block.n);
    upload_rows(sampler, plan, block);
    weights->backend->head_scan(weights->device, &scan);
    collective->table->gather(collective, sampler->groups_mine, sampler->group_bytes, sampler->groups_all);
    collective->table->gather(collective, sampler->left_out_mine, sampler->logit_bytes,
                              sampler->left_out_all);
    choose(sampler, block.n);
    draw(sampler, &scan);
    collective->table->gather(collective, sampler->drawn_mine, sampler->drawn_bytes, sampler->drawn_all);
    enum status status = read_back(sampler, block, error);
    sampler->flop += 2.0 * block.n * weights->config.hidden * range_size(weights->shard.columns);
    meter_add(sampler->meters, METER_PROGRESS, 1);
    sampler->seconds += clock_seconds() - start - (collective->seconds - waited);
    return status;
}

enum status sampler_run(struct sampler *sampler, const struct plan *plan, const void *x, struct error *error)
{
    enum status status = STATUS_OK;
    for (int first = 0; first < plan->header->n_needed && status == STATUS_OK; first += SAMPLER_ROWS) {
        int left = plan->header->n_needed - first;
        struct block block = {first, left < SAMPLER_ROWS ? left : SAMPLER_ROWS};
        status = sample_block(sampler, plan, x, block, error);
    }
    return status;
}
