#include "kernels/cpu/strips.h"

#include <math.h>
#include <string.h>

#include "kernels/cpu/bf16.h"
#include "kernels/cpu/pack.h"

struct strip_packing {
    struct strips strips;
    const struct weight *weight;
    float *to, *scale;
    const void *x;
    int64_t ld_x;
};

static void pack_strip(void *context, int strip, int thread)
{
    (void)thread;
    const struct strip_packing *packing = context;
    const struct strips *strips = &packing->strips;
    const float *x = (const float *)packing->x + strip_begin(strips, strip) * packing->ld_x;
    float *to = packing->to + strip * strips->strip_floats;
    int rows = strip_rows(strips, strip);
    ISA(pack)
    (x, packing->ld_x, rows, packing->weight->n_in, to, TILE_ROWS,
     rows); /* lanes after them are never read */
}

void ISA(strips_widen)(const struct weight *weight, const uint16_t *x, bf16_cell *to)
{
    for (int leaf = 0; leaf < weight->n_leaves; leaf++) {
        int n = weight->leaf_start[leaf + 1] - weight->leaf_start[leaf], i = 0;
        int n_filled = weight->panel_start[leaf + 1] - weight->panel_start[leaf];
        for (; i + LANES <= n; i += LANES)
            cells_store(to + i, vf_load_bf16(x + i));
        for (; i < n; i++)
            to[i] = cell_of(x[i]);
        memset(to + n, 0, (size_t)(n_filled - n) * sizeof *to);
        x += n;
        to += n_filled;
    }
}

static void widen_rows(void *context, int part, int thread)
{
    (void)thread;
    const struct strip_packing *packing = context;
    int end = least(packing->strips.rows, (part + 1) * ROWS_PER_PART);
    for (int row = part * ROWS_PER_PART; row < end; row++)
        ISA(strips_widen)
    (packing->weight, (const uint16_t *)packing->x + row * packing->ld_x,
     (bf16_cell *)packing->to + row * packing->strips.row_cells);
}

/* to[n] = x / scale, rounded to the nearest integer, ties to even; returns scale. Zeros where no scale
 * serves. */
static float quantise(const uint16_t *x, int n, int16_t *to)
{
    float largest = 0, poison = 0;
    for (int i = 0; i < n; i++) {
        float size = fabsf(bf16_value(x[i]));
        largest = size > largest ? size : largest;
        poison += size * 0; /* not a number where x is none, or infinite */
    }
    if (!(largest > 0x1p-100f) || poison != 0) {
        memset(to, 0, (size_t)n * sizeof *to);
        return poison;
    }
    const float scale = largest / 127, factor = 1 / scale, magic = 0x1.8p23f; /* rounds to an integer */
    for (int i = 0; i < n; i++)
        to[i] = (int16_t)((bf16_value(x[i]) * factor + magic) - magic);
    return scale;
}

static void quantise_row(const struct strip_packing *packing, int row)
{
    const struct weight *weight = packing->weight;
    const uint16_t *x = (const uint16_t *)packing->x + row * packing->ld_x;
    int16_t *to = (int16_t *)packing->to + row * packing->strips.row_words;
    for (int leaf = 0; leaf < weight->n_leaves; leaf++) {
        int n = weight->leaf_start[leaf + 1] - weight->leaf_start[leaf];
        int n_filled = weight->panel_start[leaf + 1] - weight->panel_start[leaf];
        packing->scale[row * LEAVES_MOST + leaf] = quantise(x, n, to);
        memset(to + n, 0, (size_t)(n_filled - n) * sizeof *to);
        x += n;
        to += n_filled;
    }
}

static void quantise_rows(void *context, int part, int thread)
{
    (void)thread;
    const struct strip_packing *packing = context;
    int end = least(packing->strips.rows, (part + 1) * ROWS_PER_PART);
    for (int row = part * ROWS_PER_PART; row < end; row++)
        quantise_row(packing, row);
}

int ISA(strips_rows)(const struct device *device, const struct weight *weight)
{
    if (weight->layout.format == WEIGHT_F32)
        return ROW_BLOCK;
    size_t fitting = device->packed_floats / (size_t)(weight->layout.n_k > 0 ? weight->layout.n_k : 1);
    return fitting < ROW_BLOCK ? (int)fitting : ROW_BLOCK;
}

struct strips ISA(strips_pack)(struct device *device, const struct weight *weight, const void *x,
                               int64_t ld_x, int rows)
{
    static const int strip_rows[] = {
        [WEIGHT_F32] = TILE_ROWS, [WEIGHT_BF16] = BF16_ROWS, [WEIGHT_I8] = I8_ROWS};
    enum weight_format format = weight->layout.format;
    struct strips strips = {.data = device->packed_rows,
                            .rows = rows,
                            .n_strips = divide_up(rows, strip_rows[format]),
                            .strip_floats = (int64_t)weight->n_in * TILE_ROWS,
                            .row_cells = format == WEIGHT_BF16 ? weight->layout.n_k : 0,
                            .row_words = weight->layout.n_k,
                            .scale = device->row_scales};
    struct strip_packing packing = {strips, weight, device->packed_rows, device->row_scales, x, ld_x};
    if (format == WEIGHT_F32)
        pool_run(device->pool, pack_strip, &packing, strips.n_strips);
    else if (format == WEIGHT_BF16)
        pool_run(device->pool, widen_rows, &packing, divide_up(rows, ROWS_PER_PART));
    else
        device_run_flushing(device, quantise_rows, &packing, divide_up(rows, ROWS_PER_PART));
    return strips;
}
