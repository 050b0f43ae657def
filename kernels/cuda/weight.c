#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/convert.h"
#include "kernels/cuda/library.h"
#include "kernels/cuda/matmul.h"
#include "kernels/weight_parts.h"

/*
 * A weight goes from the mapped file to the GPU in slices of whole rows: host → one half of the pinned
 * staging memory → scratch of the device → converted into its place. While the GPU works on one half the host
 * fills the other. The only copy in host memory is the slice.
 */
struct loading {
    struct device *device;
    const struct matrix_view *parts;
    struct weight *weight;
    size_t half_bytes;
    int turn;
};

static void reserve(struct device *device, struct weight *weight, const struct weight_rows *rows)
{
    if (rows->data_bytes > 0) /* a rank may hold no head or no unit */
        weight->data = device_allocate(device, rows->data_bytes);
    if (rows->scale_bytes > 0 && device->failure.status == STATUS_OK)
        weight->scale = device_allocate(device, rows->scale_bytes);
}

static struct weight *weight_new(enum weight_use use, int n_out, int n_in, const struct weight_rows *rows)
{
    struct weight *weight = calloc(1, sizeof *weight);
    if (weight == NULL)
        return NULL;
    weight->use = use;
    weight->format = rows->format;
    weight->n_out = n_out;
    weight->n_in = n_in;
    weight->ld = rows->ld;
    weight->tile_columns = matmul_tile_columns(n_out, n_in);
    return weight;
}

/* Copies rows of one format, from `first` on, into `to`, as many as fit; *dtype becomes their format. */
static int fill(const struct loading *loading, int first, char *to, enum dtype *dtype)
{
    int n_in = loading->weight->n_in, n = 0;
    const char *from = weight_parts_at(loading->parts, first, 0, dtype);
    size_t row_bytes = (size_t)n_in * dtype_bytes(*dtype);
    enum dtype next = *dtype;
    while (next == *dtype && (size_t)(n + 1) * row_bytes <= loading->half_bytes) {
        memcpy(to + (size_t)n++ * row_bytes, from, row_bytes);
        if (first + n == loading->weight->n_out)
            break;
        from = weight_parts_at(loading->parts, first + n, 0, &next);
    }
    return n;
}

static bool load_slice(struct loading *loading, int *row)
{
    struct device *device = loading->device;
    int half = loading->turn++ % STAGING_HALVES;
    char *staged = (char *)device->staging + (size_t)half * loading->half_bytes;
    char *on_device = (char *)device->scratch + (size_t)half * loading->half_bytes;
    if (!device_check(device, cudaEventSynchronize(device->staged[half]), "waiting for a weight's slice"))
        return false;
    enum dtype dtype;
    int n = fill(loading, *row, staged, &dtype);
    size_t bytes = (size_t)n * (size_t)loading->weight->n_in * dtype_bytes(dtype);
    if (!device_check(device,
                      cudaMemcpyAsync(on_device, staged, bytes, cudaMemcpyHostToDevice, device->stream),
                      "copying a weight"))
        return false;
    convert_rows(device, loading->weight, *row, n, on_device, dtype);
    device_check(device, cudaEventRecord(device->staged[half], device->stream), "marking a weight's slice");
    *row += n;
    return device->failure.status == STATUS_OK;
}

static void load(struct device *device, const struct matrix_view *parts, struct weight *weight)
{
    struct loading loading = {.device = device, .parts = parts, .weight = weight};
    size_t most =
        device->scratch_bytes < device->staging_bytes ? device->scratch_bytes : device->staging_bytes;
    loading.half_bytes = most / STAGING_HALVES;
    if ((size_t)weight->n_in * sizeof(float) > loading.half_bytes) {
        failure_keep(&device->failure, STATUS_INVALID_ARGUMENT,
                     "a weight of %d columns; a row must fit in %zu bytes", weight->n_in, loading.half_bytes);
        return;
    }
    for (int row = 0; weight->n_in > 0 && row < weight->n_out;)
        if (!load_slice(&loading, &row))
            return;
}

enum status cuda_weight_create(struct device *device, enum weight_use use, const struct matrix_view *parts,
                               int n_parts, const int32_t *leaf_start, int n_leaves, struct weight **weight,
                               struct error *error)
{
    int n_out;
    enum status status = weight_parts_check(parts, n_parts, leaf_start, n_leaves, &n_out, error);
    if (status != STATUS_OK)
        return status;
    const int n_in = (int)parts[0].columns;
    const struct weight_rows rows = weight_rows_of(device->precision, use, n_out, n_in);
    struct weight *made = weight_new(use, n_out, n_in, &rows);
    if (made == NULL)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a weight");
    if (device->failure.status == STATUS_OK)
        reserve(device, made, &rows);
    if (device->failure.status == STATUS_OK)
        load(device, parts, made);
    if (device->failure.status == STATUS_OK)
        made->choice = library_choose(device, made);
    if (device->failure.status == STATUS_OK) {
        *weight = made;
        return STATUS_OK;
    }
    cuda_weight_free(device, made);
    return failure_tell(&device->failure, error);
}

void cuda_weight_free(struct device *device, struct weight *weight)
{
    if (weight == NULL)
        return;
    library_choice_free(weight->choice);
    device_release(device, weight->data);
    device_release(device, weight->scale);
    free(weight);
}

size_t cuda_weight_bytes(const struct device *device, enum weight_use use, int n_out, int n_in,
                         const int32_t *leaf_start, int n_leaves)
{
    (void)leaf_start, (void)n_leaves; /* a GPU cuts no sum */
    const struct weight_rows rows = weight_rows_of(device->precision, use, n_out, n_in);
    return rows.data_bytes + rows.scale_bytes;
}
