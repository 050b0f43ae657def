#include "kernels/cpu/strips.h"

#include <string.h>

#include "kernels/cpu/bf16.h"
#include "kernels/cpu/pack.h"

struct strip_packing {
    struct strips strips;
    const struct weight *weight;
    float *to;
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

void ISA(strips_widen)(const struct weight *weight, const uint16_t *x, float *to)
{
    for (int leaf = 0; leaf < weight->n_leaves; leaf++) {
        int n = weight->leaf_start[leaf + 1] - weight->leaf_start[leaf], i = 0;
        int n_filled = weight->panel_start[leaf + 1] - weight->panel_start[leaf];
        for (; i + LANES <= n; i += LANES)
            vf_store(to + i, vf_load_bf16(x + i));
        for (; i < n; i++)
            to[i] = bf16_value(x[i]);
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
     packing->to + row * packing->strips.row_floats);
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
    bool narrow = weight->layout.format != WEIGHT_F32;
    struct strips strips = {.data = device->packed_rows,
                            .rows = rows,
                            .n_strips = divide_up(rows, narrow ? BF16_ROWS : TILE_ROWS),
                            .strip_floats = (int64_t)weight->n_in * TILE_ROWS,
                            .row_floats = narrow ? weight->layout.n_k : 0};
    struct strip_packing packing = {strips, weight, device->packed_rows, x, ld_x};
    if (narrow)
        pool_run(device->pool, widen_rows, &packing, divide_up(rows, ROWS_PER_PART));
    else
        pool_run(device->pool, pack_strip, &packing, strips.n_strips);
    return strips;
}
