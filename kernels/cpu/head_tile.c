#include "kernels/cpu/head_tile.h"

#include <math.h>

#include "kernels/cpu/elementary.h"
#include "kernels/cpu/tile.h"
#include "kernels/cpu/tile_bf16.h"

enum { TILE_VECTORS = VOCABULARY_TILE / LANES };

int ISA(head_panels)(const struct weight *weight, int tile, int *first)
{
    *first = tile * TILE_VECTORS;
    return least(TILE_VECTORS, weight->n_panels - *first);
}

static void multiply_f32(const struct weight *weight, int first, int n, const struct head_rows *rows,
                         float *raw)
{
    int64_t panel_floats = (int64_t)weight->n_in * LANES;
    struct tile product = {.a = rows->a,
                           .a_step = rows->a_step,
                           .b_panel = panel_floats,
                           .out_row = VOCABULARY_TILE,
                           .out_panel = LANES,
                           .n_k = weight->n_in};
    for (int panel = 0; panel < n; panel += TILE_PANELS) {
        product.b = weight->panels + (first + panel) * panel_floats;
        product.next =
            rows->next != NULL ? (const float *)rows->next + panel / TILE_PANELS * panel_floats : product.b;
        product.out = raw + panel * LANES;
        ISA(tile_multiply)(&product, rows->rows, least(TILE_PANELS, n - panel));
    }
}

static void multiply_bf16(const struct weight *weight, int first, int n, const struct head_rows *rows,
                          float *raw)
{
    int64_t panel_size = (int64_t)weight->layout.n_k * LANES;
    struct tile_bf16 product = {.a = rows->cells,
                                .a_row = weight->layout.n_k,
                                .b_panel = panel_size,
                                .out_row = VOCABULARY_TILE,
                                .out_panel = LANES,
                                .n_k = weight->layout.n_k};
    for (int panel = 0; panel < n; panel += TILE_PANELS) {
        if (rows->unpacked != NULL)
            product.lines = rows->unpacked + panel * panel_size;
        else
            product.pairs = weight->pairs + (first + panel) * panel_size;
        product.next = rows->next != NULL ? (const uint16_t *)rows->next + panel / TILE_PANELS * panel_size
                                          : product.pairs;
        product.out = raw + panel * LANES;
        ISA(tile_bf16)(&product, rows->rows, least(TILE_PANELS, n - panel));
    }
}

void ISA(head_multiply)(const struct weight *weight, int tile, const struct head_rows *rows, float *raw)
{
    int first, n = ISA(head_panels)(weight, tile, &first);
    if (weight->layout.format == WEIGHT_F32)
        multiply_f32(weight, first, n, rows, raw);
    else
        multiply_bf16(weight, first, n, rows, raw);
}

/* The token's column among the tile's n, or -1. */
static int64_t column_of(const struct head_scan *op, int32_t token, int first, int n)
{
    int64_t column = (int64_t)token - op->first_column - first;
    return token < 0 || column < 0 || column >= n ? -1 : column;
}

/* The logit of the row's reported token goes to *told; the left-out one is taken out of the sums. */
static void take_out(const struct head_scan *op, int row, int first, int n, float *logits, float *told)
{
    int32_t reported = op->reported ? op->reported[row] : op->left_out[row];
    int64_t told_column = column_of(op, reported, first, n),
            out_column = column_of(op, op->left_out[row], first, n);
    if (told_column >= 0)
        *told = logits[told_column];
    if (out_column >= 0)
        logits[out_column] = -INFINITY;
}

void ISA(head_logits)(const struct head_scan *op, int tile, int row, const float *raw, float *logits,
                      float *left_out)
{
    const struct vf temperature = vf_all(op->inverse_temperature[row]), nothing = vf_all(-INFINITY);
    int first = tile * VOCABULARY_TILE, n = least(VOCABULARY_TILE, op->weight->n_out - first);
    for (int i = 0; i < VOCABULARY_TILE; i += LANES) {
        int left = n - i < LANES ? n - i : LANES;
        struct vf v = nothing;
        if (left > 0) {
            struct vf sum = vf_add(vf_load(raw + i), vf_load_first(op->bias + first + i, left));
            v = vf_first(left, vf_mul(sum, temperature), nothing);
        }
        vf_store(logits + i, v);
    }
    take_out(op, row, first, n, logits, left_out);
}

struct exp_sum ISA(head_exp)(const float *logits, float *values)
{
    struct vf max = vf_load(logits), sum = vf_all(0);
    for (int i = LANES; i < VOCABULARY_TILE; i += LANES)
        max = vf_max(max, vf_load(logits + i));
    float largest = vf_largest(max);
    if (largest == -INFINITY) {
        for (int i = 0; i < VOCABULARY_TILE; i++)
            values[i] = 0;
        return (struct exp_sum){-INFINITY, 0};
    }
    for (int i = 0; i < VOCABULARY_TILE; i += LANES) {
        struct vf e = vf_exp(vf_sub(vf_load(logits + i), vf_all(largest)));
        vf_store(values + i, e);
        sum = vf_add(sum, e);
    }
    return (struct exp_sum){largest, vf_sum(sum)};
}
