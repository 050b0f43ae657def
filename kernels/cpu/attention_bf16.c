#include <math.h>
#include <string.h>

#include "kernels/cpu/attention_work.h"
#include "kernels/cpu/bf16.h"
#include "kernels/cpu/elementary.h"
#include "kernels/cpu/pack.h"

/*
 * Attention in bfloat16, as attention.c has it in float32. What enters a product is rounded to bfloat16 first
 * and kept as floats: the rotated queries and keys, and exp(scores - max). The sum over keys that divides the
 * output is the sum of the rounded numbers, so that the weights of the values add up to 1. Products go
 * through tile_bf16, and so their sums run over whole groups of dimensions and of keys, filled up with zeros:
 *
 *   keys     [n_keys][filled head_size]         the tile's rows
 *   queries  [panels][filled head_size][16]     its lanes
 *   values   [head_size][filled n_keys]         the rows of the second product
 *   scores   [panels][filled n_keys][16]        its lanes
 */
static int filled(int n)
{
    return divide_up(n, BF16_GROUP) * BF16_GROUP;
}

static void widen(const uint16_t *from, int n, float *to)
{
    int i = 0;
    for (; i + LANES <= n; i += LANES)
        vf_store(to + i, vf_load_bf16(from + i));
    for (; i < n; i++)
        to[i] = bf16_value(from[i]);
}

/* to[filled size] = rot(x) * factor, rounded */
static void rotate_rounded(const uint16_t *x, const float *rotary, int size, float factor, float *to)
{
    float wide[HEAD_SIZE_MAX + BF16_GROUP];
    widen(x, size, wide);
    attention_rotate(wide, rotary, size, factor, to);
    memset(to + size, 0, (size_t)(filled(size) - size) * sizeof *to);
    for (int d = 0; d < filled(size); d += LANES)
        vf_store(to + d, vf_round_bf16(vf_load(to + d)));
}

static void pack_keys(const struct head_work *work)
{
    const struct attention *op = work->op;
    int size = op->head_size;
    for (int i = 0; i < work->n_keys; i++) {
        const uint16_t *key =
            (const uint16_t *)op->k + (int64_t)(work->first_key + i) * op->ld_kv + work->head * size;
        rotate_rounded(key, op->rotary + (int64_t)i * size, size, 1,
                       work->scratch.keys + (int64_t)i * filled(size));
    }
}

/* values[d][key], LANES keys at a time */
static void pack_values(const struct head_work *work)
{
    const struct attention *op = work->op;
    int size = op->head_size, n_filled = filled(work->n_keys);
    float *rows = work->scratch.rotated;
    for (int first = 0; first < n_filled; first += LANES) {
        int n = least(LANES, work->n_keys - first);
        for (int i = 0; i < n; i++)
            widen((const uint16_t *)op->v + (int64_t)(work->first_key + first + i) * op->ld_kv +
                      work->head * size,
                  size, rows + i * size);
        ISA(pack)(rows, size, n > 0 ? n : 0, size, work->scratch.values + first, n_filled, LANES);
    }
}

void ISA(attention_bf16_pack)(const struct head_work *work)
{
    pack_keys(work);
    pack_values(work);
}

/* Panels of queries first ... first + n - 1; lanes without a query are zeros. */
static void pack_queries(const struct head_work *work, int first, int n)
{
    const struct attention *op = work->op;
    int size = op->head_size, width = filled(size);
    float factor = 1.0f / sqrtf((float)size);
    for (int i = 0; i < n; i++)
        rotate_rounded((const uint16_t *)op->q + (int64_t)(first + i) * op->ld_q + work->head * size,
                       op->rotary + (int64_t)op->query_position[first + i] * size, size, factor,
                       work->scratch.rotated + i * width);
    for (int lane = 0; lane < n; lane += LANES)
        ISA(pack)
    (work->scratch.rotated + lane * width, width, least(LANES, n - lane), width,
     work->scratch.queries + lane * width, LANES, LANES);
}

static void multiply_keys(const struct head_work *work, int panels)
{
    int width = filled(work->op->head_size);
    struct tile_bf16 tile = {.lines = work->scratch.queries,
                             .a_row = width,
                             .b_panel = width * LANES,
                             .out_row = LANES,
                             .out_panel = (int64_t)filled(work->n_keys) * LANES,
                             .n_k = width};
    for (int first = 0; first < work->n_keys; first += BF16_ROWS) {
        tile.a = work->scratch.keys + (int64_t)first * width;
        tile.out = work->scratch.scores + first * LANES;
        ISA(tile_bf16)(&tile, least(BF16_ROWS, work->n_keys - first), panels);
    }
}

/* scores[key, lane] = exp(scores - max over keys), rounded, and zeros after the last key; returns the sums
 * over keys. */
static struct vf exp_scores(float *scores, int n_keys)
{
    struct vf max = attention_max(scores, n_keys), sum = vf_all(0);
    for (int key = 0; key < n_keys; key++) {
        struct vf e = vf_round_bf16(vf_exp(vf_sub(vf_load(scores + key * LANES), max)));
        vf_store(scores + key * LANES, e);
        sum = vf_add(sum, e);
    }
    memset(scores + n_keys * LANES, 0, (size_t)(filled(n_keys) - n_keys) * LANES * sizeof *scores);
    return sum;
}

static void multiply_values(const struct head_work *work, int panels)
{
    int size = work->op->head_size, n_filled = filled(work->n_keys);
    struct tile_bf16 tile = {.lines = work->scratch.scores,
                             .a_row = n_filled,
                             .b_panel = (int64_t)n_filled * LANES,
                             .out_row = LANES,
                             .out_panel = size * LANES,
                             .n_k = n_filled};
    for (int first = 0; first < size; first += BF16_ROWS) {
        tile.a = work->scratch.values + (int64_t)first * n_filled;
        tile.out = work->scratch.outputs + first * LANES;
        ISA(tile_bf16)(&tile, least(BF16_ROWS, size - first), panels);
    }
}

/* o[query, dimension] = outputs[dimension, query] / sum[query] for the n queries of one panel */
static void write_outputs(const struct head_work *work, int panel, int first_query, int n, struct vf sum)
{
    const struct attention *op = work->op;
    int size = op->head_size;
    float *outputs = work->scratch.outputs + panel * size * LANES, *rows = work->scratch.rotated;
    struct vf factor = vf_div(vf_all(1), sum);
    for (int d = 0; d < size; d++)
        vf_store(outputs + d * LANES, vf_mul(vf_load(outputs + d * LANES), factor));
    ISA(pack)(outputs, LANES, size, n, rows, size, size);
    for (int i = 0; i < n; i++) {
        uint16_t *o = (uint16_t *)op->o + (first_query + i) * op->ld_o + work->head * size;
        int d = 0;
        for (; d + LANES <= size; d += LANES)
            vf_store_bf16(o + d, vf_load(rows + i * size + d));
        for (; d < size; d++)
            o[d] = bf16_of(rows[i * size + d]);
    }
}

void ISA(attention_bf16_block)(const struct head_work *work, int first, int n)
{
    int panels = divide_up(n, LANES);
    struct vf sum[TILE_PANELS];
    pack_queries(work, first, n);
    multiply_keys(work, panels);
    attention_hide_later(work, first, n, filled(work->n_keys));
    for (int p = 0; p < panels; p++)
        sum[p] = exp_scores(work->scratch.scores + (int64_t)p * filled(work->n_keys) * LANES, work->n_keys);
    multiply_values(work, panels);
    for (int p = 0; p < panels; p++)
        write_outputs(work, p, first + p * LANES, least(LANES, n - p * LANES), sum[p]);
}
