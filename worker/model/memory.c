#include "worker/model/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/precision.h"
#include "kernels/weight_layout.h"
#include "worker/collective/exchange_buffers.h"
#include "worker/model/conditioning.h"
#include "worker/model/forward.h"
#include "worker/model/sampler.h"

/* The counting backend's device. */
struct device {
    bool gpu;
    enum precision precision;
    size_t device_bytes, host_bytes;
};

static _Alignas(64) char somewhere; /* every allocation returns this address, and nothing reads from it */

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

static enum dtype table_of(const struct device *device)
{
    return device->gpu ? DTYPE_F32 : activation_of(device);
}

static enum status synchronize_nothing(struct device *device, struct error *error)
{
    (void)device, (void)error;
    return STATUS_OK;
}

static size_t weight_size(const struct device *device, enum weight_use use, int n_out, int n_in,
                          const int32_t *leaf_start, int n_leaves)
{
    if (!device->gpu) {
        struct weight_panels panels =
            weight_panels_of(device->precision, use, n_out, n_in, leaf_start, n_leaves);
        return panels.data_bytes + panels.scale_bytes;
    }
    struct weight_rows rows = weight_rows_of(device->precision, use, n_out, n_in);
    return rows.data_bytes + rows.scale_bytes;
}

static enum status count_weight(struct device *device, enum weight_use use, const struct matrix_view *parts,
                                int n_parts, const int32_t *leaf_start, int n_leaves, struct weight **weight,
                                struct error *error)
{
    int n_out = 0;
    (void)error;
    for (int i = 0; i < n_parts; i++)
        n_out += (int)parts[i].rows;
    device->device_bytes += weight_size(device, use, n_out, (int)parts[0].columns, leaf_start, n_leaves);
    *weight = (struct weight *)&somewhere;
    return STATUS_OK;
}

static void free_weight(struct device *device, struct weight *weight)
{
    (void)device, (void)weight;
}

static struct backend counting_backend(bool gpu)
{
    return (struct backend){.name = "counting",
                            .on_host = !gpu,
                            .activation_type = activation_of,
                            .table_type = table_of,
                            .synchronize = synchronize_nothing,
                            .allocate = count_device,
                            .release = release_nothing,
                            .host_allocate = count_host,
                            .host_release = release_nothing,
                            .weight_create = count_weight,
                            .weight_free = free_weight,
                            .weight_bytes = weight_size};
}

/* How much was allocated since the last call. */
static size_t taken(struct device *device)
{
    size_t bytes = device->device_bytes;
    device->device_bytes = 0;
    return bytes;
}

int64_t memory_exchanged_floats(const struct model_config *config, int n_ranks, int max_rows)
{
    int64_t sums = (int64_t)max_rows * config->hidden, sampled = sampler_gathered_floats(n_ranks, max_rows);
    return sums > sampled ? sums : sampled;
}

static void count_exchange(const struct memory_request *request, const struct backend *backend,
                           struct device *device)
{
    struct exchange_buffers buffers;
    const int n_ranks = request->n_ranks;
    int64_t floats = memory_exchanged_floats(request->config, n_ranks, request->limits.max_rows);
    if (request->gpu && request->nccl)
        exchange_buffers_for_nccl(&buffers, backend, device, n_ranks, floats);
    else
        exchange_buffers_for_mpi(&buffers, backend, device, n_ranks, floats);
    exchange_buffers_release(&buffers);
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
                            struct memory_need *need, struct error *error)
{
    struct shard shard;
    struct plan_limits limits = request->limits;
    shard_init(&shard, request->config, collective->rank, collective->n_ranks);
    enum status status = model_weights_load(&it->weights, backend, device, request->tensors, request->config,
                                            &shard, NULL, error);
    need->weights = taken(device);
    if (status == STATUS_OK)
        status =
            conditioning_init(&it->conditioning, &it->weights, conditioning_entries(limits.max_sequences),
                              conditioning_at_once(limits.max_rows), error);
    need->conditioning = taken(device);
    if (status == STATUS_OK)
        status = inputs_init(&it->inputs, backend, device, limits, model_has_laws(request->config), error);
    if (status == STATUS_OK)
        status = forward_init(&it->forward, &it->weights, &it->conditioning, collective, &it->inputs, error);
    need->activations = taken(device);
    if (status == STATUS_OK)
        status = sampler_init(&it->sampler, &it->weights, collective, &it->inputs, error);
    need->sampling = taken(device);
    return status;
}

static void count_workspace(const struct memory_request *request, struct memory_need *need)
{
    const struct model_config *config = request->config;
    const struct device_options options = {.n_threads = request->n_threads > 0 ? request->n_threads : 1,
                                           .precision = request->precision,
                                           .max_rows = request->limits.max_rows,
                                           .max_positions = config->max_length,
                                           .max_columns = model_widest_row(config)};
    struct workspace workspace = request->gpu ? workspace_of_gpu(&options) : workspace_of_cpu(&options);
    need->workspace = workspace.size_bytes;
    need->estimated = workspace.estimated;
}

/* Estimated: a context loads kernels lazily, a recorded graph takes some 100 KiB, NCCL's connections up to 4
 * MiB each and a buffer for each channel. */
static size_t reserve_of(const struct memory_request *request)
{
    const size_t mib = 1 << 20;
    if (!request->gpu)
        return 0;
    return request->nccl && request->n_ranks > 1 ? 1024 * mib : 512 * mib;
}

enum status memory_need(const struct memory_request *request, int rank, struct memory_need *need,
                        struct error *error)
{
    struct backend backend = counting_backend(request->gpu);
    struct collective collective = {.rank = rank, .n_ranks = request->n_ranks};
    struct device device = {.gpu = request->gpu, .precision = precision_on(&backend, request->precision)};
    struct rehearsal it;
    memset(&it, 0, sizeof it);
    *need = (struct memory_need){0};
    enum status status = rehearse(request, &collective, &backend, &device, &it, need, error);
    sampler_release(&it.sampler);
    forward_release(&it.forward);
    inputs_release(&it.inputs);
    conditioning_release(&it.conditioning);
    model_weights_release(&it.weights);
    count_exchange(request, &backend, &device);
    need->exchange = taken(&device);
    need->host = device.host_bytes;
    count_workspace(request, need);
    need->reserve = reserve_of(request);
    need->total = need->weights + need->conditioning + need->activations + need->sampling + need->exchange +
                  need->workspace + need->reserve;
    return status;
}

enum status memory_need_largest(const struct memory_request *request, struct memory_need *need,
                                struct error *error)
{
    enum status status = STATUS_OK;
    *need = (struct memory_need){0};
    for (int rank = 0; rank < request->n_ranks && status == STATUS_OK; rank++) {
        struct memory_need one;
        status = memory_need(request, rank, &one, error);
        if (one.total > need->total)
            *need = one;
    }
    return status;
}

static bool fits(struct memory_request request, int rows, size_t size_bytes)
{
    struct memory_need need;
    struct error ignored;
    request.limits.max_rows = rows;
    return memory_need_largest(&request, &need, &ignored) == STATUS_OK && need.total <= size_bytes;
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

enum status memory_check(const struct memory_request *request, const struct memory_need *need,
                         size_t size_bytes, struct error *error)
{
    const double gib = 1024.0 * 1024 * 1024;
    char would_fit[96];
    if (need->total <= size_bytes)
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
        (double)need->total / gib, (double)need->weights / gib, request->limits.max_rows,
        (double)need->activations / gib, (double)(need->total - need->weights - need->activations) / gib,
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

enum status memory_parse_share(const char *text, struct memory_share *share, struct error *error)
{
    char *end;
    double value = strtod(text, &end);
    *share = (struct memory_share){0};
    if (end == text || *end || !(value > 0 && value <= 1))
        return memory_parse_size(text, &share->bytes, error);
    share->fraction = value;
    return STATUS_OK;
}
