#ifndef MILLRACE_KERNELS_CPU_STRIPS_H
#define MILLRACE_KERNELS_CPU_STRIPS_H

#include "kernels/cpu/device.h"
#include "kernels/cpu/isa.h"

/*
 * Rows of x as the innermost loops read them: cut into strips, nearly equal (14 + 2 rows would leave the
 * arithmetic units idle in the second). A strip has at most TILE_ROWS rows for tile_multiply, and is
 * [n_in][TILE_ROWS]. For tile_bf16 it has at most BF16_ROWS rows, and each row is [n_k] cells (isa.h): those
 * of x, with zeros where leaves of the weight are filled up. For tile_i8 it has at most I8_ROWS rows, and
 * each row is [n_k] 16-bit integers with a scale for each leaf: x = scale * integer, |integer| <= 127. Leaves
 * do not depend on the ranks, so the integers do not, either. A row that holds infinities or no number has
 * scales that are no numbers.
 */
struct strips {
    const float *data;
    int rows, n_strips;
    int64_t strip_floats; /* float32: of a strip */
    int64_t row_cells;    /* bfloat16: of a row */
    int64_t row_words;    /* int8: of a row */
    const float *scale;   /* int8: [rows, LEAVES_MOST] */
};

static inline int strip_begin(const struct strips *strips, int strip)
{
    return (int)((int64_t)strip * strips->rows / strips->n_strips);
}

static inline int strip_rows(const struct strips *strips, int strip)
{
    return strip_begin(strips, strip + 1) - strip_begin(strips, strip);
}

/* Of a weight in float32. */
static inline const float *strip_data(const struct strips *strips, int strip)
{
    return strips->data + strip * strips->strip_floats;
}

static inline const bf16_cell *strip_cells(const struct strips *strips, int strip)
{
    return (const bf16_cell *)strips->data + strip_begin(strips, strip) * strips->row_cells;
}

static inline const int16_t *strip_words(const struct strips *strips, int strip)
{
    return (const int16_t *)strips->data + strip_begin(strips, strip) * strips->row_words;
}

/* How many rows of a product with this weight the device packs at a time. */
int ISA(strips_rows)(const struct device *device, const struct weight *weight);

/* to[n_k] = one row of x as tile_bf16 reads it. */
void ISA(strips_widen)(const struct weight *weight, const uint16_t *x, bf16_cell *to);

/* Packs x[rows, n_in], 1 <= rows <= strips_rows, into the device's scratch with all threads; good until the
 * next call. x is float32 for a weight of F32, else bfloat16. */
struct strips ISA(strips_pack)(struct device *device, const struct weight *weight, const void *x,
                               int64_t ld_x, int rows);

#endif
