#ifndef MILLRACE_KERNELS_CPU_STRIPS_H
#define MILLRACE_KERNELS_CPU_STRIPS_H

#include "kernels/cpu/device.h"
#include "kernels/cpu/isa.h"

/*
 * Rows of x, packed for tile_multiply: cut into strips of at most TILE_ROWS rows, nearly equal (14 + 2
 * rows would leave the arithmetic units idle in the second), each [n_in][TILE_ROWS].
 */
struct strips {
    const float *data;
    int rows, n_strips;
    int64_t strip_floats;
};

static inline int strip_begin(const struct strips *strips, int strip)
{
    return (int)((int64_t)strip * strips->rows / strips->n_strips);
}

static inline int strip_rows(const struct strips *strips, int strip)
{
    return strip_begin(strips, strip + 1) - strip_begin(strips, strip);
}

static inline const float *strip_data(const struct strips *strips, int strip)
{
    return strips->data + strip * strips->strip_floats;
}

/* Packs x[rows, n_in], 1 <= rows <= ROW_BLOCK, into the device's scratch with all threads; good until the
 * next call. */
struct strips ISA(strips_pack)(struct device *device, const float *x, int64_t ld_x, int rows, int n_in);

#endif
