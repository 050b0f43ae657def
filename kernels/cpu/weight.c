#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cpu/device.h"
#include "kernels/cpu/isa.h"
#include "kernels/weight_layout.h"
#include "kernels/weight_parts.h"

_Static_assert((int)WEIGHT_PANEL == (int)LANES, "a panel is a vector wide");

/*
 * A weight is packed once into panels, in the order in which the innermost loop reads it. Elements are
 * converted in squares of 16 rows and SQUARE columns of one leaf, so that the file is read in runs and
 * nothing large is held twice.
 */
enum { SQUARE = 256 };

struct packing {
    struct device *device;
    const struct matrix_view *parts;
    struct weight *weight;
};

/* The largest |w| of an output, over all inputs of the tensor: also those that other ranks hold. */
static float largest_of(const struct matrix_view *parts, int row)
{
    float largest = 0, some[SQUARE];
    enum dtype dtype;
    int64_t width;
    const char *from = weight_parts_whole(parts, row, &dtype, &width);
    for (int64_t column = 0; column < width; column += SQUARE) {
        size_t n = (size_t)(width - column < SQUARE ? width - column : SQUARE);
        dtype_to_float(dtype, from + (size_t)column * dtype_bytes(dtype), n, some);
        for (size_t i = 0; i < n; i++)
            largest = fabsf(some[i]) > largest ? fabsf(some[i]) : largest;
    }
    return largest;
}

/* Every output has one scale: w = scale * integer, |integer| <= 127. */
static void set_scales(const struct packing *packing, int panel)
{
    const struct weight *weight = packing->weight;
    for (int j = 0; j < LANES; j++) {
        int row = panel * LANES + j;
        weight->scale[row] = row < weight->n_out ? largest_of(packing->parts, row) / 127 : 0;
    }
}

/* to[(i / 4 * 16 + r) * 4 + i % 4] = square[r][i] / scale[r], rounded */
static void pack_fours(const float *square, int rows, int n, const float *scale, int8_t *to)
{
    for (int r = 0; r < rows; r++) {
        float factor = scale[r] > 0x1p-100f ? 1 / scale[r] : 0;
        for (int i = 0; i < n; i++) {
            float integer = rintf(square[r * SQUARE + i] * factor);
            to[(i / 4 * LANES + r) * 4 + i % 4] = (int8_t)fminf(fmaxf(integer, -127), 127);
        }
    }
}

/* Columns column ... column + n of one leaf, which are inputs from k on of the panel. */
static void pack_square(const struct packing *packing, int panel, int column, int n, int k)
{
    const struct weight *weight = packing->weight;
    float square[LANES * SQUARE];
    int first = panel * LANES, rows = least(LANES, weight->n_out - first);
    for (int r = 0; r < rows; r++) {
        enum dtype dtype;
        const void *from = weight_parts_at(packing->parts, first + r, column, &dtype);
        dtype_to_float(dtype, from, (size_t)n, square + r * SQUARE);
    }
    int64_t at = ((int64_t)panel * weight->layout.n_k + k) * LANES;
    if (weight->layout.format == WEIGHT_I8)
        pack_fours(square, rows, n, weight->scale + first, weight->fours + at);
    else if (weight->layout.format == WEIGHT_F32)
        packing->device->operations->pack(square, SQUARE, rows, n, weight->panels + at, LANES, LANES);
    else
        packing->device->operations->pack_pairs(square, SQUARE, rows, n, weight->pairs + at);
}

static void pack_panel(void *context, int panel, int thread)
{
    (void)thread;
    const struct packing *packing = context;
    const struct weight *weight = packing->weight;
    if (weight->layout.format == WEIGHT_I8) {
        size_t panel_size = (size_t)weight->layout.n_k * LANES;
        memset(weight->fours + (size_t)panel * panel_size, 0, panel_size); /* what is filled up */
        set_scales(packing, panel);
    }
    for (int leaf = 0; leaf < weight->n_leaves; leaf++) {
        int end = weight->leaf_start[leaf + 1];
        for (int column = weight->leaf_start[leaf]; column < end; column += SQUARE)
            pack_square(packing, panel, column, least(SQUARE, end - column),
                        weight->panel_start[leaf] + column - weight->leaf_start[leaf]);
    }
}

static void set_leaves(struct weight *weight, const int32_t *leaf_start)
{
    weight->leaf_start[weight->n_leaves] = weight->n_in;
    if (leaf_start != NULL)
        memcpy(weight->leaf_start, leaf_start, ((size_t)weight->n_leaves + 1) * sizeof *leaf_start);
    for (int i = 0; i < weight->n_leaves; i++)
        weight->panel_start[i + 1] =
            weight->panel_start[i] +
            weight_leaf_inputs(&weight->layout, weight->leaf_start[i + 1] - weight->leaf_start[i]);
}

static struct weight *weight_allocate(enum precision precision, enum weight_use use, int n_in, int n_out,
                                      const int32_t *leaf_start, int n_leaves)
{
    struct weight *weight = calloc(1, sizeof *weight);
    if (weight == NULL)
        return NULL;
    weight->n_in = n_in;
    weight->n_out = n_out;
    weight->n_panels = divide_up(n_out, LANES);
    weight->n_leaves = n_leaves;
    weight->layout = weight_panels_of(precision, use, n_out, n_in, leaf_start, n_leaves);
    weight->leaf_start = calloc((size_t)n_leaves + 1, sizeof *weight->leaf_start);
    weight->panel_start = calloc((size_t)n_leaves + 1, sizeof *weight->panel_start);
    /* a rank may hold no head, no unit or no column; then the weight is empty, and its product is zeros or
     * nothing */
    weight->panels = device_floats(weight->layout.data_bytes / sizeof(float) + LANES);
    if (weight->layout.scale_bytes > 0)
        weight->scale = device_floats(weight->layout.scale_bytes / sizeof(float));
    if (weight->leaf_start == NULL || weight->panel_start == NULL || weight->panels == NULL ||
        (weight->layout.scale_bytes > 0 && weight->scale == NULL)) {
        cpu_weight_free(NULL, weight);
        return NULL;
    }
    set_leaves(weight, leaf_start);
    return weight;
}

enum status cpu_weight_create(struct device *device, enum weight_use use, const struct matrix_view *parts,
                              int n_parts, const int32_t *leaf_start, int n_leaves, struct weight **weight,
                              struct error *error)
{
    int n_out;
    enum status status = weight_parts_check(parts, n_parts, leaf_start, n_leaves, &n_out, error);
    if (status != STATUS_OK)
        return status;
    struct weight *made =
        weight_allocate(device->precision, use, (int)parts[0].columns, n_out, leaf_start, n_leaves);
    if (made == NULL)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a weight of [%d, %lld] numbers",
                         n_out, (long long)parts[0].columns);
    struct packing packing = {device, parts, made};
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
    free(weight->scale);
    free(weight->leaf_start);
    free(weight->panel_start);
    free(weight);
}

size_t cpu_weight_bytes(const struct device *device, enum weight_use use, int n_out, int n_in,
                        const int32_t *leaf_start, int n_leaves)
{
    const struct weight_panels layout =
        weight_panels_of(device->precision, use, n_out, n_in, leaf_start, n_leaves);
    return layout.data_bytes + layout.scale_bytes;
}
