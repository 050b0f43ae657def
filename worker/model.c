#include "worker/model.h"

#include "common/clock.h"

static int largest(int a, int b)
{
    return a > b ? a : b;
}

static int least(int a, int b)
{
    return a < b ? a : b;
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
    if (status == STATUS_OK)
        status = conditioning_init(&model->conditioning, &model->weights,
                                   limits.max_sequences + CONDITIONING_SPARE,
                                   least(CONDITIONING_AT_ONCE, limits.max_rows), error);
    if (status == STATUS_OK)
        status = inputs_init(&model->inputs, model->backend, model->device, limits, error);
    if (status == STATUS_OK)
        status = forward_init(&model->forward, &model->weights, &model->conditioning, model->collective,
                              &model->inputs, error);
    if (status == STATUS_OK)
        status = sampler_init(&model->sampler, &model->weights, model->collective, &model->inputs, error);
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
    inputs_release(&model->inputs);
    conditioning_release(&model->conditioning);
    model_weights_release(&model->weights);
    if (model->collective)
        model->collective->table->unbind(model->collective);
    if (model->device)
        model->backend->close(model->device);
    tensors_close(model->tensors);
    *model = (struct model){0};
}

void model_begin(struct model *model, const struct plan *plan)
{
    int n_needed = plan->header->n_needed;
    if (n_needed > 0) {
        const void *x = forward_run(&model->forward, plan, plan->slot);
        sampler_begin(&model->sampler, n_needed, x, plan->slot);
    }
    model->backend->mark(model->device, plan->slot);
}

enum status model_wait(struct model *model, int slot, struct error *error)
{
    enum status status = model->backend->wait(model->device, slot, error);
    if (status == STATUS_OK && model->collective->status != STATUS_OK)
        return error_set(error, model->collective->status,
                         "the exchange between the ranks of this replica broke");
    return status;
}

const struct sampled *model_outcome(struct model *model, int slot)
{
    sampler_end(&model->sampler, slot);
    return model->sampler.sampled;
}

enum status model_step(struct model *model, const struct plan *plan, struct error *error)
{
    model_begin(model, plan);
    enum status status = model_wait(model, plan->slot, error);
    if (status == STATUS_OK && plan->header->n_needed > 0)
        model_outcome(model, plan->slot);
    return status;
}
