#include "worker/model/model.h"

#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/model/network.h"

static int largest(int a, int b)
{
    return a > b ? a : b;
}

static enum status open_files(struct model *model, const struct model_options *options,
                              struct model_config *config, struct error *error)
{
    enum status status = model_config_read(options->directory, config, error);
    if (status == STATUS_OK)
        status = tensors_open_model(options->directory, config, &model->tensors, error);
    if (status == STATUS_OK)
        tensors_fingerprint(model->tensors, config, model->fingerprint);
    return status;
}

static void count_progress(void *meters)
{
    meter_add(meters, METER_PROGRESS, 1);
}

static void log_line(void *context, const char *line)
{
    (void)context;
    log_info("%s", line);
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
        .index = options->gpu >= 0 ? options->gpu : -1 - model->collective->local_rank,
        .precision = options->precision,
        .max_rows = limits.max_rows,
        .max_positions = config->max_length,
        .max_columns = model_widest_row(config),
        .progressed = options->meters ? count_progress : NULL,
        .progress_context = options->meters,
        .told = log_line,
    };
    if (model_has_laws(config) && !model->backend->has_laws)
        return error_set(error, STATUS_FAILED_PRECONDITION,
                         "the %s backend cannot run %s models yet; use --backend cpu", model->backend->name,
                         architecture_name(config->architecture));
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
                                   conditioning_entries(limits.max_sequences),
                                   conditioning_at_once(limits.max_rows), error);
    if (status == STATUS_OK)
        status =
            inputs_init(&model->inputs, model->backend, model->device, limits, model_has_laws(config), error);
    if (status == STATUS_OK)
        status = forward_init(&model->forward, &model->weights, &model->conditioning, model->collective,
                              &model->inputs, error);
    if (status == STATUS_OK)
        status = sampler_init(&model->sampler, &model->weights, model->collective, &model->inputs, error);
    model->forward.meters = model->meters;
    model->sampler.meters = model->meters;
    return status;
}

/*
 * Opening goes in stages: the files and the device; the exchange between devices, if there is one; the shard.
 * In a stage no rank asks another anything. After each stage all ranks agree on a verdict.
 */
struct opening {
    const struct model_options *options;
    struct model_config config;
    struct plan_limits limits;
};

static enum status open_foundation(struct model *model, struct opening *opening, struct error *error)
{
    enum status status = open_files(model, opening->options, &opening->config, error);
    opening->limits.max_rows = largest(opening->limits.max_rows, opening->config.max_length);
    if (status == STATUS_OK)
        status = open_device(model, opening->options, &opening->config, opening->limits, error);
    return status;
}

static enum status open_exchange(struct model *model, struct opening *opening, struct error *error)
{
    enum status status = collective_on_device(model->collective, opening->options->exchange, model->backend,
                                              model->device, &model->on_device, error);
    if (status == STATUS_OK && model->on_device)
        model->collective = model->on_device;
    return status;
}

/* Of a GPU's free memory: a display, a profiler or a driver's update may want some later. */
#define USUAL_FRACTION 0.92

/* How much memory there is for a rank. A GPU's scratch is taken already. The memory of a machine is shared by
 * all ranks on it; other replicas there are not known. */
static size_t memory_of_rank(const struct model *model, const struct model_options *options)
{
    struct device_memory memory = model->backend->memory(model->device);
    double fraction = options->memory.fraction;
    if (options->memory.bytes)
        return options->memory.bytes;
    if (model->backend->on_host) {
        size_t share = memory.total_bytes / (size_t)model->collective->n_local;
        return fraction > 0 ? (size_t)(fraction * (double)share) : share;
    }
    size_t there = memory.free_bytes + model->needed_memory.workspace;
    size_t wanted =
        (size_t)(fraction > 0 ? fraction * (double)memory.total_bytes : USUAL_FRACTION * (double)there);
    return wanted < there ? wanted : there;
}

/* Called before anything large is allocated. */
static enum status plan_memory(struct model *model, struct opening *opening, struct error *error)
{
    const struct memory_request request = {.config = &opening->config,
                                           .tensors = model->tensors,
                                           .n_ranks = model->collective->n_ranks,
                                           .gpu = !model->backend->on_host,
                                           .precision = opening->options->precision,
                                           .n_threads = opening->options->n_threads,
                                           .nccl = model->collective->table->on_device,
                                           .limits = opening->limits};
    enum status status = memory_need(&request, model->collective->rank, &model->needed_memory, error);
    if (status != STATUS_OK)
        return status;
    return memory_check(&request, &model->needed_memory, memory_of_rank(model, opening->options), error);
}

/* The caller's sentence says what did not fit; the device's own says how much room there was. */
static enum status with_device_memory(struct model *model, enum status status, struct error *error)
{
    struct error device = {0}, said = {0};
    if (status != STATUS_RESOURCE_EXHAUSTED || error == NULL ||
        model->backend->synchronize(model->device, &device) != STATUS_RESOURCE_EXHAUSTED ||
        strstr(error->text, device.text) != NULL)
        return status;
    said = *error;
    return error_set(error, status, "%s (%s)", said.text, device.text);
}

static enum status open_rest(struct model *model, struct opening *opening, struct error *error)
{
    enum status status = plan_memory(model, opening, error);
    if (status != STATUS_OK)
        return status;
    int64_t floats =
        memory_exchanged_floats(&opening->config, model->collective->n_ranks, opening->limits.max_rows);
    if (!model->collective->table->bind(model->collective, model->backend, model->device, floats))
        return with_device_memory(model,
                                  error_set(error, STATUS_RESOURCE_EXHAUSTED,
                                            "no memory to exchange the activations of %d tokens",
                                            opening->limits.max_rows),
                                  error);
    return with_device_memory(model, open_shard(model, &opening->config, opening->limits, error), error);
}

enum status model_open(struct model *model, const struct model_options *options, struct error *error)
{
    *model = (struct model){.collective = options->collective, .meters = options->meters};
    enum status (*const stages[])(struct model *, struct opening *,
                                  struct error *) = {open_foundation, open_exchange, open_rest};
    struct opening opening = {.options = options, .limits = options->limits};
    double start = clock_seconds();
    enum status status = STATUS_OK;
    for (size_t i = 0; i < sizeof stages / sizeof *stages && status == STATUS_OK; i++) {
        status = collective_verdict(options->collective, stages[i](model, &opening, error), error);
        model->stage_seconds[i] = clock_seconds() - start;
    }
    if (status != STATUS_OK)
        model_close(model);
    model->load_seconds = clock_seconds() - start;
    return status;
}

void model_close(struct model *model)
{
    if (model->collective)
        model->collective->table->unbind(model->collective);
    sampler_release(&model->sampler);
    forward_release(&model->forward);
    inputs_release(&model->inputs);
    conditioning_release(&model->conditioning);
    model_weights_release(&model->weights);
    collective_free(model->on_device);
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
    struct collective *collective = model->collective;
    enum status status = collective->table->wait ? collective->table->wait(collective, slot, error)
                                                 : model->backend->wait(model->device, slot, error);
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
