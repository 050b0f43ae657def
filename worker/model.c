#include "worker/model.h"

#include "common/clock.h"

static int largest(int a, int b)
{
    return a > b ? a : b;
}

static enum status open_files(struct model *model, const struct model_options *options,
                              struct model_config *config, struct error *error)
{
    enum status status = model_config_read(options->directory, config, error);
    if (status == STATUS_OK)
        status = tensors_open(options->directory, &model->tensors, error);
    if (status == STATUS_OK)
        status = tensors_check_model(model->tensors, config, error);
    if (status == STATUS_OK)
        tensors_fingerprint(model->tensors, config, model->fingerprint);
    return status;
}

static enum status open_device(struct model *model, const struct model_options *options,
                               const struct model_config *config, struct plan_limits limits,
                               struct error *error)
{
    enum status status = backend_find(options->backend, &model->backend, error);
    if (status != STATUS_OK)
        return status;
    const struct device_options device_options = {
        .n_threads = options->n_threads,
        .max_rows = limits.max_rows,
        .max_positions = config->max_length,
        .max_columns = largest(4 * config->hidden, largest(2 * config->condition, 256)),
    };
    return model->backend->open(&model->device, &device_options, error);
}

static enum status open_shard(struct model *model, const struct model_config *config,
                              struct plan_limits limits, struct error *error)
{
    struct shard shard;
    shard_init(&shard, config, model->collective->rank, model->collective->n_ranks);
    enum status status = model_weights_load(&model->weights, model->backend, model->device, model->tensors,
                                            config, &shard, model->meters, error);
    if (status == STATUS_OK) /* one more than a batch can have: the entry at hand is never the oldest */
        status = conditioning_init(&model->conditioning, &model->weights, limits.max_sequences + 1, error);
    if (status == STATUS_OK)
        status = forward_init(&model->forward, &model->weights, &model->conditioning, model->collective,
                              limits, error);
    if (status == STATUS_OK)
        status = sampler_init(&model->sampler, &model->weights, model->collective, limits.max_rows, error);
    model->forward.meters = model->meters;
    model->sampler.meters = model->meters;
    return status;
}

/* This rank's part of opening, without a word to the others. */
static enum status open_locally(struct model *model, const struct model_options *options, struct error *error)
{
    struct model_config config = {0};
    struct plan_limits limits = options->limits;
    enum status status = open_files(model, options, &config, error);
    limits.max_rows = largest(limits.max_rows, config.max_length);
    if (status == STATUS_OK)
        status = open_device(model, options, &config, limits, error);
    if (status != STATUS_OK)
        return status;
    if (!model->collective->table->bind(model->collective, model->backend, model->device,
                                        (int64_t)limits.max_rows * config.hidden))
        return error_set(error, STATUS_RESOURCE_EXHAUSTED,
                         "no memory to exchange the activations of %d tokens", limits.max_rows);
    return open_shard(model, &config, limits, error);
}

enum status model_open(struct model *model, const struct model_options *options, struct error *error)
{
    *model = (struct model){.collective = options->collective, .meters = options->meters};
    double start = clock_seconds();
    enum status status = collective_agree(options->collective, open_locally(model, options, error), error);
    if (status != STATUS_OK)
        model_close(model);
    model->load_seconds = clock_seconds() - start;
    return status;
}

void model_close(struct model *model)
{
    sampler_release(&model->sampler);
    forward_release(&model->forward);
    conditioning_release(&model->conditioning);
    model_weights_release(&model->weights);
    if (model->collective)
        model->collective->table->unbind(model->collective);
    if (model->device)
        model->backend->close(model->device);
    tensors_close(model->tensors);
    *model = (struct model){0};
}

enum status model_step(struct model *model, const struct plan *plan, struct error *error)
{
    if (plan->header->n_needed > 0) {
        const void *x = forward_run(&model->forward, plan);
        enum status status = sampler_run(&model->sampler, plan, x, error);
        if (status != STATUS_OK)
            return status;
    }
    if (model->collective->status != STATUS_OK)
        return error_set(error, model->collective->status,
                         "the exchange between the ranks of this replica broke");
    return STATUS_OK;
}
