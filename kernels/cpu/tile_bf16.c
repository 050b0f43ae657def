#include "kernels/cpu/tile_bf16.h"

#include "kernels/cpu/bf16.h"

/*
 * With `rows` and `panels` constant the loops over them disappear, and both chains of every sum are
 * registers. Pairs are taken apart on the way, which costs as much as some products. So where many rows meet
 * a panel, the caller unpacks it once.
 */
#if !defined(MILLRACE_TILES) /* else tile_amx.c */

#define EACH_SUM                                            \
    _Pragma("GCC unroll 16") for (int r = 0; r < rows; r++) \
        _Pragma("GCC unroll 2") for (int p = 0; p < panels; p++)

struct sums {
    struct vf v[BF16_ROWS][TILE_PANELS];
};

/* sums += one element of each row x one line of each panel */
static inline __attribute__((always_inline)) void multiply_line(struct sums *sums, const float *a,
                                                                int64_t a_row,
                                                                const struct vf line[TILE_PANELS],
                                                                const int rows, const int panels)
{
    EACH_SUM sums->v[r][p] = vf_fma(vf_all(a[r * a_row]), line[p], sums->v[r][p]);
}

static inline __attribute__((always_inline)) void
group_of_pairs(struct sums *even, struct sums *odd, const float *a, int64_t a_row, const uint16_t *b,
               int64_t b_panel, const char *next, const int rows, const int panels)
{
    struct vf line[TILE_PANELS];
#pragma GCC unroll 2
    for (int pair = 0; pair < BF16_GROUP / 2; pair++) {
#pragma GCC unroll 2
        for (int p = 0; p < panels; p++)
            line[p] = vf_pairs_even(b + p * b_panel);
        multiply_line(even, a, a_row, line, rows, panels);
#pragma GCC unroll 2
        for (int p = 0; p < panels; p++)
            line[p] = vf_pairs_odd(b + p * b_panel);
        multiply_line(odd, a + 1, a_row, line, rows, panels);
        __builtin_prefetch(next, 0, 2);
        a += 2;
        b += 2 * LANES;
        next += 64;
    }
}

static inline __attribute__((always_inline)) void group_of_lines(struct sums *even, struct sums *odd,
                                                                 const float *a, int64_t a_row,
                                                                 const float *b, int64_t b_panel,
                                                                 const int rows, const int panels)
{
    struct vf line[TILE_PANELS];
#pragma GCC unroll 4
    for (int pair = 0; pair < BF16_GROUP / 2; pair++) {
#pragma GCC unroll 2
        for (int p = 0; p < panels; p++)
            line[p] = vf_load(b + p * b_panel);
        multiply_line(even, a, a_row, line, rows, panels);
#pragma GCC unroll 2
        for (int p = 0; p < panels; p++)
            line[p] = vf_load(b + p * b_panel + LANES);
        multiply_line(odd, a + 1, a_row, line, rows, panels);
        a += 2;
        b += 2 * LANES;
    }
}

static inline __attribute__((always_inline)) void multiply(const struct tile_bf16 *tile, const bool in_pairs,
                                                           const int rows, const int panels)
{
    struct sums total, even, odd;
    const float *a = tile->a;
    EACH_SUM total.v[r][p] = vf_all(0);
    for (int k = 0; k < tile->n_k; k += BF16_GROUP) {
        EACH_SUM even.v[r][p] = odd.v[r][p] = vf_all(0);
        if (in_pairs)
            group_of_pairs(&even, &odd, a, tile->a_row, tile->pairs + (int64_t)k * LANES, tile->b_panel,
                           (const char *)tile->next + (int64_t)k * 32, rows, panels);
        else
            group_of_lines(&even, &odd, a, tile->a_row, tile->lines + (int64_t)k * LANES, tile->b_panel, rows,
                           panels);
        EACH_SUM total.v[r][p] = vf_add(total.v[r][p], vf_add(even.v[r][p], odd.v[r][p]));
        a += BF16_GROUP;
    }
    float *out = tile->out;
    if (tile->accumulate)
        EACH_SUM total.v[r][p] =
            vf_add(vf_load(out + r * tile->out_row + p * tile->out_panel), total.v[r][p]);
    EACH_SUM vf_store(out + r * tile->out_row + p * tile->out_panel, total.v[r][p]);
}

#define DEFINE(rows, panels)                                             \
    static void of_pairs_##rows##_##panels(const struct tile_bf16 *tile) \
    {                                                                    \
        multiply(tile, true, rows, panels);                              \
    }                                                                    \
    static void of_lines_##rows##_##panels(const struct tile_bf16 *tile) \
    {                                                                    \
        multiply(tile, false, rows, panels);                             \
    }
#define NAME(rows, panels) {of_lines_##rows##_##panels, of_pairs_##rows##_##panels},
#define TO_2(DO, panels) DO(1, panels) DO(2, panels)
#define TO_3(DO, panels) TO_2(DO, panels) DO(3, panels)
#define TO_7(DO, panels) TO_3(DO, panels) DO(4, panels) DO(5, panels) DO(6, panels) DO(7, panels)

typedef void variant(const struct tile_bf16 *tile);
#if defined(__AVX512F__)
TO_7(DEFINE, 1)
TO_7(DEFINE, 2)
static variant *const variants[TILE_PANELS][BF16_ROWS][2] = {{TO_7(NAME, 1)}, {TO_7(NAME, 2)}};
#elif defined(__AVX2__)
TO_3(DEFINE, 1)
static variant *const variants[TILE_PANELS][BF16_ROWS][2] = {{TO_3(NAME, 1)}};
#else
TO_2(DEFINE, 1)
static variant *const variants[TILE_PANELS][BF16_ROWS][2] = {{TO_2(NAME, 1)}};
#endif

void ISA(tile_bf16)(const struct tile_bf16 *tile, int rows, int panels)
{
    variants[panels - 1][rows - 1][tile->pairs != NULL](tile);
}

#endif

void ISA(unpack_pairs)(const uint16_t *pairs, int n_k, float *lines)
{
    for (int64_t at = 0; at < (int64_t)n_k * LANES; at += 2 * LANES) {
        vf_store(lines + at, vf_pairs_even(pairs + at));
        vf_store(lines + at + LANES, vf_pairs_odd(pairs + at));
    }
}
