#include "worker/model/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/precision.h"
#include "worker/model/conditioning.h"
#include "worker/model/forward.h"
#include "worker/model/model.h"
#include "worker/model/sampler.h"

/* The counting backend's device. */
struct device {
    bool gpu;
    enum precision precision;
    size_t device_bytes, host_bytes;
};

struct weight {
    size_t size_bytes;
};

static char somewhere; /* what every allocation answers: nobody looks into it */

static void *count_device(struct device *device, size_t size_bytes)
{
    device->device_bytes += size_bytes;
    return &somewhere;
}

static void *count_host(struct device *device, size_t size_bytes)
{
    if (device->gpu)
        device->host_bytes += size_bytes;
    else
        device->device_bytes += size_bytes;
    return &somewhere;
}

static void release_nothing(struct device *device, void *memory)
{
    (void)device, (void)memory;
}

static enum dtype activation_of(const struct device *device)
{
    return device->precision == PRECISION_F32 ? DTYPE_F32 : DTYPE_BF16;
}

static enum status synchronize_nothing(struct device *device, struct error *error)
{
    (void)device, (void)error;
    return STATUS_OK;
}

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

/* The layouts of kernels/cpu/weight.c (panels of 16 outputs) and kernels/cuda/weight.c (rows of a multiple of
 * 16). */
static size_t weight_size(const struct device *device, enum weight_use use, size_t n_out, size_t n_in)
{
    enum { ALIGNMENT = 16 };
    if (!device->gpu)
        return round_up(n_out, ALIGNMENT) * n_in * sizeof(float);
    size_t elements = n_out * round_up(n_in, ALIGNMENT);
    if (device->precision == PRECISION_F32)
        return elements * sizeof(float);
    bool one_byte = device->precision == PRECISION_FP8 && use == WEIGHT_PRODUCT;
    return one_byte ? elements + n_out * sizeof(float) : 2 * elements;
}

static enum status count_weight(struct device *device, enum weight_use use, const struct matrix_view *parts,
                                int n_parts, const int32_t *leaf_start, int n_leaves, struct weight **weight,
                                struct error *error)
{
    size_t n_out = 0;
    (void)leaf_start, (void)n_leaves;
    for (int i = 0; i < n_parts; i++)
        n_out += (size_t)parts[i].rows;
    struct weight *made = malloc(sizeof *made);
    if (!made)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory to plan the memory");
    made->size_bytes = weight_size(device, use, n_out, (size_t)parts[0].columns);
    device->device_bytes += made->size_bytes;
    *weight = made;
    return STATUS_OK;
}

static void free_weight(struct device *device, struct weight *weight)
{
    (void)device;
    free(weight);
}

static size_t counted_bytes(const struct weight *weight)
{
    return weight->size_bytes;
}

static struct backend counting_backend(bool gpu)
{
    return (struct backend){.name = "counting",
                            .on_host = !gpu,
                            .activation_type = activation_of,
                            .synchronize = synchronize_nothing,
                            .allocate = count_device,
                            .release = release_nothing,
                            .host_allocate = count_host,
                            .host_release = release_nothing,
                            .weight_create = count_weight,
                            .weight_free = free_weight,
                            .weight_bytes = counted_bytes};
}

/* What came to the device since the last call. */
static size_t taken(struct device *device)
{
    size_t bytes = device->device_bytes;
    device->device_bytes = 0;
    return bytes;
}

/* What a collective's bind takes (collective_mpi.c, collective_nccl.c). */
static void count_exchange(const struct memory_request *request, struct device *device)
{
    size_t n_ranks = (size_t)request->n_ranks;
    size_t sums = (size_t)request->limits.max_rows * (size_t)request->config->hidden;
    size_t sampled = (size_t)sampler_gathered_floats(request->n_ranks, request->limits.max_rows);
    size_t floats = sums > sampled ? sums : sampled;
    if (n_ranks == 1)
        return;
    if (request->gpu && request->nccl) {
        device->device_bytes += n_ranks > 2 ? (floats + 8 * n_ranks) * sizeof(float) : 0;
        return;
    }
    (void)count_host(device, (floats + n_ranks) * sizeof(float));
    if (request->gpu)
        (void)count_host(device, 2 * floats * sizeof(float));
}

struct rehearsal {
    struct model_weights weights;
    struct conditioning conditioning;
    struct inputs inputs;
    struct forward forward;
    struct sampler sampler;
};

static enum status rehearse(const struct memory_request *request, struct collective *collective,
                            const struct backend *backend, struct device *device, struct rehearsal *it,
                            struct memory_plan *plan, struct error *error)
{
    struct shard shard;
    struct plan_limits limits = request->limits;
    shard_init(&shard, request->config, collective->rank, collective->n_ranks);
    enum status status = model_weights_load(&it->weights, backend, device, request->tensors, request->config,
                                            &shard, NULL, error);
    plan->weights = taken(device);
    if (status == STATUS_OK)
        status =
            conditioning_init(&it->conditioning, &it->weights, conditioning_entries(limits.max_sequences),
                              conditioning_at_once(limits.max_rows), error);
    plan->conditioning = taken(device);
    if (status == STATUS_OK)
        status = inputs_init(&it->inputs, backend, device, limits, error);
    if (status == STATUS_OK)
        status = forward_init(&it->forward, &it->weights, &it->conditioning, collective, &it->inputs, error);
    plan->activations = taken(device);
    if (status == STATUS_OK)
        status = sampler_init(&it->sampler, &it->weights, collective, &it->inputs, error);
    plan->sampling = taken(device);
    return status;
}

static void count_workspace(const struct memory_request *request, struct memory_plan *plan)
{
    const struct model_config *config = request->config;
    const struct device_options options = {.n_threads = request->n_threads > 0 ? request->n_threads : 1,
                                           .precision = request->precision,
                                           .max_rows = request->limits.max_rows,
                                           .max_positions = config->max_length,
                                           .max_columns = model_widest(config)};
    struct workspace workspace = request->gpu ? workspace_of_gpu(&options) : workspace_of_cpu(&options);
    plan->workspace = workspace.size_bytes;
    plan->estimated = workspace.estimated;
}

enum status memory_plan(const struct memory_request *request, int rank, struct memory_plan *plan,
                        struct error *error)
{
    struct backend backend = counting_backend(request->gpu);
    struct collective collective = {.rank = rank, .n_ranks = request->n_ranks};
    struct device device = {.gpu = request->gpu, .precision = precision_on(&backend, request->precision)};
    struct rehearsal it;
    memset(&it, 0, sizeof it);
    *plan = (struct memory_plan){0};
    enum status status = rehearse(request, &collective, &backend, &device, &it, plan, error);
    sampler_release(&it.sampler);
    forward_release(&it.forward);
    inputs_release(&it.inputs);
    conditioning_release(&it.conditioning);
    model_weights_release(&it.weights);
    count_exchange(request, &device);
    plan->exchange = taken(&device);
    plan->host = device.host_bytes;
    count_workspace(request, plan);
    plan->total = plan->weights + plan->conditioning + plan->activations + plan->sampling + plan->exchange +
                  plan->workspace;
    return status;
}

enum status memory_plan_largest(const struct memory_request *request, struct memory_plan *plan,
                                struct error *error)
{
    enum status status = STATUS_OK;
    *plan = (struct memory_plan){0};
    for (int rank = 0; rank < request->n_ranks && status == STATUS_OK; rank++) {
        struct memory_plan one;
        status = memory_plan(request, rank, &one, error);
        if (one.total > plan->total)
            *plan = one;
    }
    return status;
}

static bool fits(struct memory_request request, int rows, size_t size_bytes)
{
    struct memory_plan plan;
    struct error ignored;
    request.limits.max_rows = rows;
    return memory_plan_largest(&request, &plan, &ignored) == STATUS_OK && plan.total <= size_bytes;
}

int memory_rows_that_fit(const struct memory_request *request, size_t size_bytes, int most)
{
    int fitting = 0, too_many = most + 1;
    while (too_many - fitting > 1) {
        int middle = fitting + (too_many - fitting) / 2;
        if (fits(*request, middle, size_bytes))
            fitting = middle;
        else
            too_many = middle;
    }
    return fitting;
}

enum status memory_check(const struct memory_request *request, const struct memory_plan *plan,
                         size_t size_bytes, struct error *error)
{
    const double gib = 1024.0 * 1024 * 1024;
    char would_fit[96];
    if (plan->total <= size_bytes)
        return STATUS_OK;
    int rows = memory_rows_that_fit(request, size_bytes, request->limits.max_rows);
    if (rows >= request->config->max_length)
        snprintf(would_fit, sizeof would_fit, "--batch-tokens %d would fit", rows);
    else
        snprintf(would_fit, sizeof would_fit, "no batch with the longest text fits: use more ranks%s",
                 request->gpu && request->precision != PRECISION_FP8 ? ", or --precision fp8" : "");
    return error_set(
        error, STATUS_RESOURCE_EXHAUSTED,
        "a rank needs %.3f GiB (weights %.3f, activations of %d tokens %.3f, the rest %.3f) and has "
        "%.3f: %s",
        (double)plan->total / gib, (double)plan->weights / gib, request->limits.max_rows,
        (double)plan->activations / gib, (double)(plan->total - plan->weights - plan->activations) / gib,
        (double)size_bytes / gib, would_fit);
}

enum status memory_parse_size(const char *text, size_t *size_bytes, struct error *error)
{
    static const char units[] = "KMGT";
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    const char *unit = *end ? strchr(units, *end) : NULL;
    double scale = 1;
    for (int i = 0; unit && i <= unit - units; i++)
        scale *= 1024;
    const char *rest = unit ? end + 1 : end;
    bool known = *rest == '\0' || strcmp(rest, "B") == 0 || (unit && strcmp(rest, "iB") == 0);
    if (end == text || errno || !known || !(value > 0) || value * scale > 0x1p60)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "\"%.40s\" is not a size: a number and K, M, G or T, as in 80GiB", text);
    *size_bytes = (size_t)(value * scale);
    return STATUS_OK;
}
