#include "kernels/cpu/tile.h"

#include "kernels/cpu/simd.h"

/* With `rows` and `panels` constant the loops over them disappear and every sum is a register. */
static inline __attribute__((always_inline)) void multiply(const struct tile *tile, const int rows,
                                                           const int panels)
{
    struct vf sum[TILE_ROWS][TILE_PANELS], column[TILE_PANELS];
    const float *a = tile->a, *b = tile->b, *next = tile->next;
    const int64_t a_step = tile->a_step, b_panel = tile->b_panel;
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int p = 0; p < panels; p++)
            sum[r][p] = vf_all(0);
    for (int k = tile->n_k; k > 0; k--) {
#pragma GCC unroll 2
        for (int p = 0; p < panels; p++)
            column[p] = vf_load(b + p * b_panel);
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++) {
            struct vf element = vf_all(a[r]);
#pragma GCC unroll 2
            for (int p = 0; p < panels; p++)
                sum[r][p] = vf_fma(element, column[p], sum[r][p]);
        }
        __builtin_prefetch(next, 0, 2);
        a += a_step;
        b += LANES;
        next += LANES;
    }
    float *out = tile->out;
    const int64_t out_row = tile->out_row, out_panel = tile->out_panel;
    if (tile->accumulate)
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
            for (int p = 0; p < panels; p++)
                sum[r][p] = vf_add(vf_load(out + r * out_row + p * out_panel), sum[r][p]);
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int p = 0; p < panels; p++)
            vf_store(out + r * out_row + p * out_panel, sum[r][p]);
}

#define FOR_ROWS_TO_4(VARIANT, panels) \
    VARIANT(1, panels) VARIANT(2, panels) VARIANT(3, panels) VARIANT(4, panels)
#define FOR_ROWS_TO_6(VARIANT, panels) FOR_ROWS_TO_4(VARIANT, panels) VARIANT(5, panels) VARIANT(6, panels)
#define FOR_ROWS_TO_14(VARIANT, panels) \
    FOR_ROWS_TO_6(VARIANT, panels)      \
    VARIANT(7, panels)                  \
    VARIANT(8, panels)                  \
    VARIANT(9, panels)                  \
    VARIANT(10, panels)                 \
    VARIANT(11, panels) VARIANT(12, panels) VARIANT(13, panels) VARIANT(14, panels)

#define DEFINE(rows, panels)                                        \
    static void multiply_##rows##_##panels(const struct tile *tile) \
    {                                                               \
        multiply(tile, rows, panels);                               \
    }
#define NAME(rows, panels) multiply_##rows##_##panels,

#if defined(__AVX512F__)
FOR_ROWS_TO_14(DEFINE, 1)
FOR_ROWS_TO_14(DEFINE, 2)
static void (*const variants[TILE_PANELS][TILE_ROWS])(const struct tile *) = {{FOR_ROWS_TO_14(NAME, 1)},
                                                                              {FOR_ROWS_TO_14(NAME, 2)}};
#elif defined(__AVX2__)
FOR_ROWS_TO_6(DEFINE, 1)
static void (*const variants[TILE_PANELS][TILE_ROWS])(const struct tile *) = {{FOR_ROWS_TO_6(NAME, 1)}};
#elif defined(MILLRACE_TILES)
FOR_ROWS_TO_4(DEFINE, 1)
FOR_ROWS_TO_4(DEFINE, 2)
static void (*const variants[TILE_PANELS][TILE_ROWS])(const struct tile *) = {{FOR_ROWS_TO_4(NAME, 1)},
                                                                              {FOR_ROWS_TO_4(NAME, 2)}};
#else
FOR_ROWS_TO_4(DEFINE, 1)
static void (*const variants[TILE_PANELS][TILE_ROWS])(const struct tile *) = {{FOR_ROWS_TO_4(NAME, 1)}};
#endif

void ISA(tile_multiply)(const struct tile *tile, int rows, int panels)
{
    variants[panels - 1][rows - 1](tile);
}
