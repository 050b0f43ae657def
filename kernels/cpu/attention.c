#include <math.h>

#include "kernels/cpu/attention_work.h"
#include "kernels/cpu/elementary.h"
#include "kernels/cpu/functions.h"
#include "kernels/cpu/pack.h"
#include "kernels/cpu/tile.h"

/*
 * Attention of one sequence and head, a block of queries at a time, by the same tile as every product:
 *
 *   scores[key, query]  = K · Q^T    keys are the tile's rows, queries its lanes
 *   softmax over keys                so each lane is a query: max, exp and sum need no step across lanes
 *   o^T[dimension, query] = V^T · P  dimensions are the tile's rows, queries its lanes
 *
 * The scores of a block stay in the second-level cache; no [length, length] buffer exists. The sums of a
 * query run over the keys of its sequence in order, whatever else is in its block. One part of the work is
 * one sequence, one head and a run of query blocks. It packs the keys and values that it needs into the
 * scratch of its thread. Below float32 the same goes through attention_bf16.c.
 */
struct heads {
    const struct device *device;
    const struct attention *op;
    int n_runs; /* of query blocks, per sequence and head */
};

static void pack_keys(const struct head_work *work)
{
    const struct attention *op = work->op;
    int size = op->head_size;
    for (int first = 0; first < work->n_keys; first += TILE_ROWS) {
        int rows = least(TILE_ROWS, work->n_keys - first);
        for (int r = 0; r < rows; r++) {
            const float *key =
                (const float *)op->k + (int64_t)(work->first_key + first + r) * op->ld_kv + work->head * size;
            attention_rotate(key, op->rotary + (int64_t)(first + r) * size, size, 1,
                             work->scratch.rotated + r * size);
        }
        ISA(pack)
        (work->scratch.rotated, size, rows, size, work->scratch.keys + (int64_t)first * size, TILE_ROWS,
         rows);
    }
}

static void pack_values(const struct head_work *work)
{
    const struct attention *op = work->op;
    int size = op->head_size;
    float *to = work->scratch.values;
    for (int first = 0; first < size; first += TILE_ROWS) {
        int n = least(TILE_ROWS, size - first);
        const float *from =
            (const float *)op->v + (int64_t)work->first_key * op->ld_kv + work->head * size + first;
        for (int key = 0; key < work->n_keys; key++, to += TILE_ROWS)
            vf_store_first(to, n, vf_load_first(from + key * op->ld_kv, n));
    }
}

/* Panels of queries first ... first + n - 1 (rows of q); lanes without a query are zeros. */
static void pack_queries(const struct head_work *work, int first, int n)
{
    const struct attention *op = work->op;
    int size = op->head_size;
    float factor = 1.0f / sqrtf((float)size);
    for (int i = 0; i < n; i++) {
        const float *query = (const float *)op->q + (int64_t)(first + i) * op->ld_q + work->head * size;
        const float *rotary = op->rotary + (int64_t)op->query_position[first + i] * size;
        attention_rotate(query, rotary, size, factor, work->scratch.rotated + i * size);
    }
    for (int lane = 0; lane < n; lane += LANES) {
        float *to = work->scratch.queries + lane * size;
        ISA(pack)(work->scratch.rotated + lane * size, size, least(LANES, n - lane), size, to, LANES, LANES);
    }
}

static void multiply_keys(const struct head_work *work, int panels)
{
    int size = work->op->head_size, n_keys = work->n_keys;
    struct tile tile = {.b = work->scratch.queries,
                        .a_step = TILE_ROWS,
                        .next = work->scratch.queries,
                        .b_panel = size * LANES,
                        .out_row = LANES,
                        .out_panel = (int64_t)n_keys * LANES,
                        .n_k = size};
    for (int first = 0; first < n_keys; first += TILE_ROWS) {
        tile.a = work->scratch.keys + (int64_t)first * size;
        tile.out = work->scratch.scores + first * LANES;
        ISA(tile_multiply)(&tile, least(TILE_ROWS, n_keys - first), panels);
    }
}

/* scores[key, lane] = exp(scores - max over keys); returns the sums over keys. */
static struct vf exp_scores(float *scores, int n_keys)
{
    struct vf max = attention_max(scores, n_keys), sum = vf_all(0);
    for (int key = 0; key < n_keys; key++) {
        struct vf e = vf_exp(vf_sub(vf_load(scores + key * LANES), max));
        vf_store(scores + key * LANES, e);
        sum = vf_add(sum, e);
    }
    return sum;
}

static void multiply_values(const struct head_work *work, int panels)
{
    int size = work->op->head_size, n_keys = work->n_keys;
    struct tile tile = {.b = work->scratch.scores,
                        .next = work->scratch.scores,
                        .a_step = TILE_ROWS,
                        .b_panel = (int64_t)n_keys * LANES,
                        .out_row = LANES,
                        .out_panel = size * LANES,
                        .n_k = n_keys};
    for (int first = 0; first < size; first += TILE_ROWS) {
        tile.a = work->scratch.values + (int64_t)first * n_keys;
        tile.out = work->scratch.outputs + first * LANES;
        ISA(tile_multiply)(&tile, least(TILE_ROWS, size - first), panels);
    }
}

/* o[query, dimension] = outputs[dimension, query] / sum[query] for the n queries of one panel */
static void write_outputs(const struct head_work *work, int panel, int first_query, int n, struct vf sum)
{
    const struct attention *op = work->op;
    int size = op->head_size;
    float *outputs = work->scratch.outputs + panel * size * LANES;
    struct vf factor = vf_div(vf_all(1), sum);
    for (int d = 0; d < size; d++)
        vf_store(outputs + d * LANES, vf_mul(vf_load(outputs + d * LANES), factor));
    ISA(pack)
    (outputs, LANES, size, n, (float *)op->o + first_query * op->ld_o + work->head * size, op->ld_o, size);
}

static void attend_block(const struct head_work *work, int first_query, int n)
{
    int panels = divide_up(n, LANES);
    struct vf sum[TILE_PANELS];
    pack_queries(work, first_query, n);
    multiply_keys(work, panels);
    attention_hide_later(work, first_query, n, work->n_keys);
    for (int p = 0; p < panels; p++)
        sum[p] = exp_scores(work->scratch.scores + (int64_t)p * work->n_keys * LANES, work->n_keys);
    multiply_values(work, panels);
    for (int p = 0; p < panels; p++)
        write_outputs(work, p, first_query + p * LANES, least(LANES, n - p * LANES), sum[p]);
}

static void attend_part(void *context, int part, int thread)
{
    const struct heads *heads = context;
    const struct attention *op = heads->op;
    int run = part % heads->n_runs, sequence = part / heads->n_runs / op->n_heads;
    int first_query = op->query_start[sequence], n_queries = op->query_start[sequence + 1] - first_query;
    int n_blocks = divide_up(n_queries, ATTENTION_BLOCK),
        block = (int)((int64_t)run * n_blocks / heads->n_runs);
    int end_block = (int)((int64_t)(run + 1) * n_blocks / heads->n_runs);
    struct head_work work = {.op = op,
                             .head = part / heads->n_runs % op->n_heads,
                             .first_key = op->key_start[sequence],
                             .n_keys = op->key_start[sequence + 1] - op->key_start[sequence]};
    if (block == end_block || work.n_keys == 0)
        return;
    attention_scratch_cut(device_thread_scratch(heads->device, thread), heads->device->max_positions,
                          &work.scratch);
    bool narrow = heads->device->precision != PRECISION_F32;
    if (narrow) {
        ISA(attention_bf16_pack)(&work);
    } else {
        pack_keys(&work);
        pack_values(&work);
    }
    /* With long texts a part takes minutes, and a block of it far below a second. */
    for (; block < end_block; block++) {
        int first = first_query + block * ATTENTION_BLOCK;
        int n = least(ATTENTION_BLOCK, n_queries - block * ATTENTION_BLOCK);
        if (narrow)
            ISA(attention_bf16_block)(&work, first, n);
        else
            attend_block(&work, first, n);
        device_progressed(heads->device);
    }
}

static bool sizes_fit(struct device *device, const struct attention *op)
{
    if (op->head_size < 2 || op->head_size > HEAD_SIZE_MAX || op->head_size % 2 != 0) {
        failure_keep(&device->failure, STATUS_OUT_OF_RANGE,
                     "attention with head size %d: it must be even and at most %d", op->head_size,
                     HEAD_SIZE_MAX);
        return false;
    }
    for (int i = 0; i < op->n_sequences; i++)
        if (op->key_start[i + 1] - op->key_start[i] > device->max_positions) {
            failure_keep(&device->failure, STATUS_OUT_OF_RANGE,
                         "attention over a sequence of %d positions: the device was opened for at most %d",
                         op->key_start[i + 1] - op->key_start[i], device->max_positions);
            return false;
        }
    return true;
}

void ISA(attention)(struct device *device, const struct attention *op)
{
    int pairs = op->n_sequences * op->n_heads;
    if (pairs == 0 || /* a rank may hold no head */
        !device_accepts(device, "attention", op->query_start[op->n_sequences], op->n_heads * op->head_size) ||
        !sizes_fit(device, op))
        return;
    int wanted = device->n_threads > 1 ? divide_up(2 * device->n_threads, pairs) : 1;
    struct heads heads = {device, op, wanted};
    if (device->precision == PRECISION_F32)
        pool_run(device->pool, attend_part, &heads, pairs * heads.n_runs);
    else
        device_run_flushing(device, attend_part, &heads, pairs * heads.n_runs);
}
