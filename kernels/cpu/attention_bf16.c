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

/* to[filled size] = rot(x) * factor */
static void rotate(const uint16_t *x, const float *rotary, int size, float factor, float *to)
{
    float wide[HEAD_SIZE_MAX + BF16_GROUP];
    widen(x, size, wide);
    attention_rotate(wide, rotary, size, factor, to);
    memset(to + size, 0, (size_t)(filled(size) - size) * sizeof *to);
}

static void round_cells(const float *from, int n, bf16_cell *to)
{
    for (int i = 0; i < n; i += LANES)
        cells_store(to + i, vf_round_bf16(vf_load(from + i)));
}

static void pack_keys(const struct head_work *work)
{
    const struct attention *op = work->op;
    int size = op->head_size, width = filled(size);
    bf16_cell *to = (bf16_cell *)work->scratch.keys;
    for (int i = 0; i < work->n_keys; i++, to += width) {
        const uint16_t *key =
            (const uint16_t *)op->k + (int64_t)(work->first_key + i) * op->ld_kv + work->head * size;
        rotate(key, op->rotary + (int64_t)i * size, size, 1, work->scratch.rotated);
        round_cells(work->scratch.rotated, width, to);
    }
}

/* values[d][key], LANES keys at a time */
static void pack_values(const struct head_work *work)
{
    const struct attention *op = work->op;
    int size = op->head_size, n_filled = filled(work->n_keys);
    float *rows = work->scratch.rotated, *columns = work->scratch.outputs;
    for (int first = 0; first < n_filled; first += LANES) {
        int n = least(LANES, work->n_keys - first);
        for (int i = 0; i < n; i++)
            widen((const uint16_t *)op->v + (int64_t)(work->first_key + first + i) * op->ld_kv +
                      work->head * size,
                  size, rows + i * size);
        ISA(pack)(rows, size, n > 0 ? n : 0, size, columns, LANES, LANES);
        for (int d = 0; d < size; d++)
            cells_store((bf16_cell *)work->scratch.values + (int64_t)d * n_filled + first,
                        vf_load(columns + d * LANES));
    }
}

void ISA(attention_bf16_pack)(const struct head_work *work)
{
    pack_keys(work);
    pack_values(work);
}

/* lines[n_k][16], n_k even, rounded in place: as tile_bf16 reads them, floats or pairs. */
static void round_lines(float *lines, int n_k)
{
#if defined(MILLRACE_TILES)
    uint16_t *pairs = (uint16_t *)lines; /* which never run ahead of what is read */
    for (int k = 0; k < n_k; k += 2) {
        struct vf even = vf_load(lines + k * LANES), odd = vf_load(lines + (k + 1) * LANES);
        vf_store_pairs(pairs + k * LANES, even, odd);
    }
#else
    for (int k = 0; k < n_k; k++)
        vf_store(lines + k * LANES, vf_round_bf16(vf_load(lines + k * LANES)));
#endif
}

/* The columns of a product: `floats` of distance between panels, as round_lines left them. */
static struct tile_bf16 tile_of(const float *lines, int64_t panel_floats)
{
#if defined(MILLRACE_TILES)
    const uint16_t *pairs = (const uint16_t *)lines;
    return (struct tile_bf16){.pairs = pairs, .next = pairs, .b_panel = 2 * panel_floats};
#else
    return (struct tile_bf16){.lines = lines, .b_panel = panel_floats};
#endif
}

/* Panels of queries first ... first + n - 1; lanes without a query are zeros. */
static void pack_queries(const struct head_work *work, int first, int n)
{
    const struct attention *op = work->op;
    int size = op->head_size, width = filled(size);
    float factor = 1.0f / sqrtf((float)size);
    for (int i = 0; i < n; i++)
        rotate((const uint16_t *)op->q + (int64_t)(first + i) * op->ld_q + work->head * size,
               op->rotary + (int64_t)op->query_position[first + i] * size, size, factor,
               work->scratch.rotated + i * width);
    for (int lane = 0; lane < n; lane += LANES) {
        float *to = work->scratch.queries + lane * width;
        ISA(pack)
        (work->scratch.rotated + lane * width, width, least(LANES, n - lane), width, to, LANES, LANES);
        round_lines(to, width);
    }
}

static void multiply_keys(const struct head_work *work, int panels)
{
    int width = filled(work->op->head_size);
    struct tile_bf16 tile = tile_of(work->scratch.queries, (int64_t)width * LANES);
    tile.a_row = width;
    tile.n_k = width;
    tile.out_row = LANES;
    tile.out_panel = (int64_t)filled(work->n_keys) * LANES;
    for (int first = 0; first < work->n_keys; first += BF16_ROWS) {
        tile.a = (const bf16_cell *)work->scratch.keys + (int64_t)first * width;
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
#if defined(MILLRACE_TILES)
    round_lines(scores, filled(n_keys));
#endif
    return sum;
}

static void multiply_values(const struct head_work *work, int panels)
{
    int size = work->op->head_size, n_filled = filled(work->n_keys);
    struct tile_bf16 tile = tile_of(work->scratch.scores, (int64_t)n_filled * LANES);
    tile.a_row = n_filled;
    tile.n_k = n_filled;
    tile.out_row = LANES;
    tile.out_panel = (int64_t)size * LANES;
    for (int first = 0; first < size; first += BF16_ROWS) {
        tile.a = (const bf16_cell *)work->scratch.values + (int64_t)first * n_filled;
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
