#include <stdlib.h>
#include <string.h>

#include "kernels/cpu/device.h"
#include "kernels/cpu/isa.h"

/*
 * A weight is packed once, into panels: what the innermost loop reads, in the order in which it reads it.
 * Elements are converted in squares of 16 rows x SQUARE columns, so that the file is read in runs and nothing
 * large is held twice.
 */
enum { SQUARE = 256, LEAVES_MAX = 64 };

struct packing {
    struct device *device;
    const struct matrix_view *parts;
    int n_parts;
    struct weight *weight;
};

/* The row `row` of the stacked parts, from column `column` on. */
static const void *view_row(const struct packing *packing, int row, int column, enum dtype *dtype)
{
    const struct matrix_view *part = packing->parts;
    int64_t inside = row;
    while (inside >= part->rows)
        inside -= part++->rows;
    *dtype = part->dtype;
    return (const char *)part->data + (size_t)(inside * part->row_stride + column) * dtype_bytes(part->dtype);
}

static void pack_panel(void *context, int panel, int thread)
{
    (void)thread;
    const struct packing *packing = context;
    const struct weight *weight = packing->weight;
    float square[LANES * SQUARE];
    int first = panel * LANES, rows = least(LANES, weight->n_out - first);
    for (int column = 0; column < weight->n_in; column += SQUARE) {
        int n = least(SQUARE, weight->n_in - column);
        for (int r = 0; r < rows; r++) {
            enum dtype dtype;
            const void *from = view_row(packing, first + r, column, &dtype);
            dtype_to_float(dtype, from, (size_t)n, square + r * SQUARE);
        }
        float *to = weight->panels + ((int64_t)panel * weight->n_in + column) * LANES;
        packing->device->operations->pack(square, SQUARE, rows, n, to, LANES, LANES);
    }
}

static enum status check_parts(const struct matrix_view *parts, int n_parts, int64_t *n_out,
                               struct error *error)
{
    if (n_parts < 1)
        return error_set(error, STATUS_INVALID_ARGUMENT, "a weight needs at least one part");
    *n_out = 0;
    for (int i = 0; i < n_parts; i++) {
        const struct matrix_view *part = &parts[i];
        if (part->dtype != DTYPE_F32 && part->dtype != DTYPE_BF16 && part->dtype != DTYPE_F16)
            return error_set(error, STATUS_INVALID_ARGUMENT,
                             "part %d of a weight is %s; it must be F32, BF16 or F16", i,
                             dtype_name(part->dtype));
        if (part->columns != parts[0].columns)
            return error_set(error, STATUS_INVALID_ARGUMENT,
                             "part %d of a weight has %lld columns, part 0 has %lld", i,
                             (long long)part->columns, (long long)parts[0].columns);
        if (part->rows < 0 || part->columns < 0 || part->columns > INT32_MAX / LANES)
            return error_set(error, STATUS_INVALID_ARGUMENT, "part %d of a weight is [%lld, %lld]", i,
                             (long long)part->rows, (long long)part->columns);
        *n_out += part->rows;
    }
    if (*n_out > INT32_MAX - LANES)
        return error_set(error, STATUS_INVALID_ARGUMENT, "a weight of %lld rows", (long long)*n_out);
    return STATUS_OK;
}

static enum status check_leaves(const int32_t *leaf_start, int n_leaves, int64_t n_in, struct error *error)
{
    if (n_leaves < 1 || n_leaves > LEAVES_MAX || (n_leaves & (n_leaves - 1)) != 0)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "a weight of %d leaves; it must be a power of two up to %d", n_leaves, LEAVES_MAX);
    if (leaf_start == NULL) {
        if (n_leaves != 1)
            return error_set(error, STATUS_INVALID_ARGUMENT, "%d leaves without their borders", n_leaves);
        return STATUS_OK;
    }
    bool rises = leaf_start[0] == 0 && leaf_start[n_leaves] == n_in;
    for (int i = 0; i < n_leaves; i++)
        rises = rises && leaf_start[i] <= leaf_start[i + 1];
    if (!rises)
        return error_set(error, STATUS_INVALID_ARGUMENT, "the leaves' borders must rise from 0 to %lld",
                         (long long)n_in);
    return STATUS_OK;
}

static struct weight *weight_allocate(int n_in, int n_out, const int32_t *leaf_start, int n_leaves)
{
    struct weight *weight = calloc(1, sizeof *weight);
    if (weight == NULL)
        return NULL;
    weight->n_in = n_in;
    weight->n_out = n_out;
    weight->n_panels = divide_up(n_out, LANES);
    weight->n_leaves = n_leaves;
    weight->leaf_start = calloc((size_t)n_leaves + 1, sizeof *weight->leaf_start);
    /* a rank may hold no head, no unit or no column: such a weight is empty, and its product zeros or nothing
     */
    weight->panels = device_floats(((size_t)weight->n_panels * (size_t)n_in + 1) * LANES);
    if (weight->leaf_start == NULL || weight->panels == NULL) {
        cpu_weight_free(NULL, weight);
        return NULL;
    }
    weight->leaf_start[n_leaves] = n_in;
    if (leaf_start != NULL)
        memcpy(weight->leaf_start, leaf_start, ((size_t)n_leaves + 1) * sizeof *leaf_start);
    return weight;
}

enum status cpu_weight_create(struct device *device, enum weight_use use, const struct matrix_view *parts,
                              int n_parts, const int32_t *leaf_start, int n_leaves, struct weight **weight,
                              struct error *error)
{
    (void)use; /* all are float32 */
    int64_t n_out;
    enum status status = check_parts(parts, n_parts, &n_out, error);
    if (status == STATUS_OK)
        status = check_leaves(leaf_start, n_leaves, parts[0].columns, error);
    if (status != STATUS_OK)
        return status;
    struct weight *made = weight_allocate((int)parts[0].columns, (int)n_out, leaf_start, n_leaves);
    if (made == NULL)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a weight of [%lld, %lld] floats",
                         (long long)n_out, (long long)parts[0].columns);
    struct packing packing = {device, parts, n_parts, made};
    pool_run(device->pool, pack_panel, &packing, made->n_panels);
    *weight = made;
    return STATUS_OK;
}

void cpu_weight_free(struct device *device, struct weight *weight)
{
    (void)device;
    if (weight == NULL)
        return;
    free(weight->panels);
    free(weight->leaf_start);
    free(weight);
}

size_t cpu_weight_bytes(const struct weight *weight)
{
    return (size_t)weight->n_panels * (size_t)weight->n_in * LANES * sizeof(float);
}
