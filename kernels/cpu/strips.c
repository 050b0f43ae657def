#include "kernels/cpu/strips.h"

#include "kernels/cpu/pack.h"

struct strip_packing {
    struct strips strips;
    float *to;
    const float *x;
    int64_t ld_x;
    int n_in;
};

static void pack_strip(void *context, int strip, int thread)
{
    (void)thread;
    const struct strip_packing *packing = context;
    const struct strips *strips = &packing->strips;
    const float *x = packing->x + strip_begin(strips, strip) * packing->ld_x;
    float *to = packing->to + strip * strips->strip_floats;
    int rows = strip_rows(strips, strip);
    ISA(pack)
    (x, packing->ld_x, rows, packing->n_in, to, TILE_ROWS, rows); /* lanes after the rows are never read */
}

struct strips ISA(strips_pack)(struct device *device, const float *x, int64_t ld_x, int rows, int n_in)
{
    struct strips strips = {device->packed_rows, rows, divide_up(rows, TILE_ROWS), (int64_t)n_in * TILE_ROWS};
    struct strip_packing packing = {strips, device->packed_rows, x, ld_x, n_in};
    pool_run(device->pool, pack_strip, &packing, strips.n_strips);
    return strips;
}
