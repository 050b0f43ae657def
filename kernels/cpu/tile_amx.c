/*
 * tile_bf16 on the tile unit: up to two tiles of 16 rows by two panels, four sums. A is read as it lies
 * (words, row by row), B is pairs, of which 16 lines are a tile. What the sums are: tile_bf16.h.
 *
 * Tiles: 0 to 3 the sums (rows 0 and 1, panels 0 and 1 of each), 4 and 5 rows of a, 6 and 7 panels of b.
 */
#include "kernels/cpu/isa.h"

#if defined(MILLRACE_TILES)

#include "kernels/cpu/simd.h"
#include "kernels/cpu/tile_bf16.h"
#include "kernels/cpu/tile_unit.h"

enum { UNIT_ROWS = 16, PAIR_LINES = BF16_GROUP / 2, LINE_BYTES = 64 };

static void configure(int rows)
{
    int upper = rows < UNIT_ROWS ? rows : UNIT_ROWS, lower = rows - upper > 0 ? rows - upper : 1;
    const int of_tile[8] = {upper, upper, lower, lower, upper, lower, PAIR_LINES, PAIR_LINES};
    struct unit_config config = {.palette = 1};
    for (int t = 0; t < 8; t++) {
        config.rows[t] = (uint8_t)of_tile[t];
        config.row_bytes[t] = LINE_BYTES;
    }
    unit_configure(&config);
}

/* Adds one group after the other to the four, two or one sums that there are. */
static inline __attribute__((always_inline)) void multiply_groups(const struct tile_bf16 *tile,
                                                                  const int two_rows, const int two_panels)
{
    const uint16_t *a = tile->a, *b = tile->pairs;
    const char *next = tile->next;
    int64_t row_bytes = tile->a_row * (int64_t)sizeof *a;
    for (int k = 0; k < tile->n_k; k += BF16_GROUP) {
        unit_load(6, b, LINE_BYTES);
        unit_load(4, a, row_bytes);
        unit_multiply_bf16(0, 4, 6);
        if (two_panels) {
            unit_load(7, b + tile->b_panel, LINE_BYTES);
            unit_multiply_bf16(1, 4, 7);
        }
        if (two_rows) {
            unit_load(5, a + UNIT_ROWS * tile->a_row, row_bytes);
            unit_multiply_bf16(2, 5, 6);
        }
        if (two_rows && two_panels)
            unit_multiply_bf16(3, 5, 7);
        for (int line = 0; line < PAIR_LINES; line++)
            __builtin_prefetch(next + line * LINE_BYTES, 0, 2);
        next += PAIR_LINES * LINE_BYTES;
        a += BF16_GROUP;
        b += BF16_GROUP * LANES;
    }
}

static void write_sums(const struct tile_bf16 *tile, const float *sums, int rows, int panels)
{
    for (int r = 0; r < rows; r++)
        for (int p = 0; p < panels; p++) {
            float *out = tile->out + r * tile->out_row + p * tile->out_panel;
            struct vf sum = vf_load(sums + (r * TILE_PANELS + p) * LANES);
            vf_store(out, tile->accumulate ? vf_add(vf_load(out), sum) : sum);
        }
}

void ISA(tile_bf16)(const struct tile_bf16 *tile, int rows, int panels)
{
    enum { SUM_BYTES = TILE_PANELS * LANES * sizeof(float) };
    _Alignas(64) float sums[BF16_ROWS * TILE_PANELS * LANES];
    configure(rows);
    unit_zero(0);
    unit_zero(1);
    unit_zero(2);
    unit_zero(3);
    if (rows > UNIT_ROWS && panels > 1)
        multiply_groups(tile, 1, 1);
    else if (rows > UNIT_ROWS)
        multiply_groups(tile, 1, 0);
    else if (panels > 1)
        multiply_groups(tile, 0, 1);
    else
        multiply_groups(tile, 0, 0);
    unit_store(0, sums, SUM_BYTES);
    if (panels > 1)
        unit_store(1, sums + LANES, SUM_BYTES);
    if (rows > UNIT_ROWS)
        unit_store(2, sums + UNIT_ROWS * TILE_PANELS * LANES, SUM_BYTES);
    if (rows > UNIT_ROWS && panels > 1)
        unit_store(3, sums + (UNIT_ROWS * TILE_PANELS + 1) * LANES, SUM_BYTES);
    unit_release();
    write_sums(tile, sums, rows, panels);
}

#else
typedef int no_tile_unit; /* a file must hold something */
#endif
