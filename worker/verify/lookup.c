#include "worker/verify/lookup.h"

#include <math.h>
#include <stdlib.h>

double lookup_logit(double p)
{
    return p > 0 ? log(p) : -200;
}

/* Makes this rank's rows of the identity, from `first` on: its columns of the vocabulary. */
static enum status make_head(struct lookup *lookup, struct error *error)
{
    struct range columns = lookup->weights.shard.columns;
    int n = range_size(columns), width = lookup->n_ids;
    float *identity = calloc((size_t)(n ? n : 1) * (size_t)width, sizeof *identity);
    if (!identity)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a table of %d tokens", width);
    for (int i = 0; i < n; i++)
        identity[i * width + columns.first + i] = 1;
    const struct matrix_view view = {identity, DTYPE_F32, n, width, width};
    enum status status = lookup->backend->weight_create(lookup->device, WEIGHT_PRODUCT, &view, 1, NULL, 1,
                                                        &lookup->weights.head, error);
    free(identity);
    return status;
}

static enum status allocate(struct lookup *lookup, struct error *error)
{
    size_t n = (size_t)lookup->n_ids, size = LOOKUP_ROWS * n * sizeof(float);
    lookup->x = lookup->backend->allocate(lookup->device, size);
    lookup->weights.head_bias = lookup->backend->allocate(lookup->device, n * sizeof(float));
    lookup->host_x = malloc(size);
    if (lookup->x && lookup->weights.head_bias && lookup->host_x)
        return STATUS_OK;
    return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for %d rows of %zu tokens", LOOKUP_ROWS, n);
}

static enum status open_device(struct lookup *lookup, const struct golden *golden, struct error *error)
{
    const struct device_options options = {.n_threads = golden->n_threads,
                                           .index = golden->gpu >= 0 ? golden->gpu
                                                                     : -1 - golden->collective->local_rank,
                                           .precision = golden->precision,
                                           .max_rows = LOOKUP_ROWS,
                                           .max_positions = 1,
                                           .max_columns = lookup->n_ids > 256 ? lookup->n_ids : 256};
    enum status status = backend_find(golden->backend, &lookup->backend, error);
    if (status == STATUS_OK)
        status = lookup->backend->open(&lookup->device, &options, error);
    if (status != STATUS_OK)
        return status;
    if (!lookup->collective->table->bind(lookup->collective, lookup->backend, lookup->device,
                                         sampler_gathered_floats(lookup->collective->n_ranks, LOOKUP_ROWS)))
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory to exchange %d rows", LOOKUP_ROWS);
    return STATUS_OK;
}

static enum status open_locally(struct lookup *lookup, const struct golden *golden, int mask_token,
                                struct error *error)
{
    const struct model_config config = {.n_ids = lookup->n_ids,
                                        .vocabulary = lookup->n_ids,
                                        .mask_token = mask_token,
                                        .hidden = lookup->n_ids,
                                        .n_heads = 1,
                                        .head_size = lookup->n_ids};
    enum status status = open_device(lookup, golden, error);
    if (status != STATUS_OK)
        return status;
    lookup->weights =
        (struct model_weights){.backend = lookup->backend, .device = lookup->device, .config = config};
    shard_init(&lookup->weights.shard, &config, lookup->collective->rank, lookup->collective->n_ranks);
    status = allocate(lookup, error);
    if (status == STATUS_OK)
        status = make_head(lookup, error);
    if (status == STATUS_OK)
        status = plan_init(&lookup->plan, (struct plan_limits){LOOKUP_ROWS, LOOKUP_ROWS}, error);
    if (status == STATUS_OK)
        status = inputs_init(&lookup->inputs, lookup->backend, lookup->device,
                             (struct plan_limits){LOOKUP_ROWS, LOOKUP_ROWS}, false, error);
    if (status == STATUS_OK)
        status = sampler_init(&lookup->sampler, &lookup->weights, lookup->collective, &lookup->inputs, error);
    return status;
}

enum status lookup_open(struct lookup *lookup, const struct golden *golden, int n_ids, int mask_token,
                        struct error *error)
{
    *lookup = (struct lookup){.collective = golden->collective, .n_ids = n_ids};
    enum status status =
        collective_agree(golden->collective, open_locally(lookup, golden, mask_token, error), error);
    if (status != STATUS_OK)
        lookup_close(lookup);
    return status;
}

void lookup_close(struct lookup *lookup)
{
    sampler_release(&lookup->sampler);
    inputs_release(&lookup->inputs);
    plan_release(&lookup->plan);
    free(lookup->host_x);
    if (lookup->weights.backend) {
        lookup->backend->release(lookup->device, lookup->x);
        lookup->backend->release(lookup->device, lookup->weights.head_bias);
        if (lookup->weights.head)
            lookup->backend->weight_free(lookup->device, lookup->weights.head);
    }
    if (lookup->collective)
        lookup->collective->table->unbind(lookup->collective);
    if (lookup->device)
        lookup->backend->close(lookup->device);
    *lookup = (struct lookup){0};
}

bool lookup_add(struct lookup *lookup, const struct lookup_row *row)
{
    int i = lookup->n;
    if (i == LOOKUP_ROWS)
        return false;
    struct plan *plan = &lookup->plan;
    for (int id = 0; id < lookup->n_ids; id++)
        lookup->host_x[i * lookup->n_ids + id] = (float)row->logits[id];
    plan->sequences[i] = (struct plan_sequence){.at = {.bound = row->bound},
                                                .first_row = i,
                                                .end_row = i + 1,
                                                .first_needed = i,
                                                .end_needed = i + 1,
                                                .inverse_temperature = 1,
                                                .forbid_mask = row->forbid_mask};
    plan->ids[i] = row->id;
    plan->needed[i] = i;
    plan->u_jump[i] = row->u_jump;
    plan->u_draw[i] = row->u_draw;
    lookup->n++;
    return true;
}

enum status lookup_run(struct lookup *lookup, const struct sampled **sampled, struct error *error)
{
    int n = lookup->n;
    lookup->n = 0;
    *lookup->plan.header = (struct plan_header){PLAN_STEP, n, n, n};
    lookup->backend->upload(lookup->device, lookup->x, lookup->host_x,
                            (size_t)n * (size_t)lookup->n_ids * sizeof(float));
    inputs_upload(&lookup->inputs, &lookup->plan, NULL, lookup->weights.config.mask_token, 0);
    sampler_begin(&lookup->sampler, n, lookup->x, 0);
    enum status status = lookup->backend->synchronize(lookup->device, error);
    sampler_end(&lookup->sampler, 0);
    *sampled = lookup->sampler.sampled;
    return collective_agree(lookup->collective, status, error);
}
