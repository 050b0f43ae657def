#ifndef MILLRACE_KERNELS_CPU_TILE_UNIT_H
#define MILLRACE_KERNELS_CPU_TILE_UNIT_H

#include <stdint.h>
#include <string.h>

/*
 * The tile unit's instructions (AMX), as few as tile_amx.c needs. With MILLRACE_TILE_MODEL they are plain C,
 * written from the pseudo-code of Intel's manual (SDM vol. 2), so that the loops over tiles are tested where
 * there is no such unit.
 *
 * Tile t has unit_rows[t] rows of 64 bytes. Numbers of tiles are constants.
 */
struct unit_config { /* as LDTILECFG reads it */
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

#if defined(MILLRACE_TILE_MODEL)

#include <math.h>

struct unit_state {
    struct unit_config config;
    unsigned char tile[8][16][64];
};
static _Thread_local struct unit_state unit;

static inline void unit_configure(const struct unit_config *config)
{
    unit.config = *config;
    memset(unit.tile, 0, sizeof unit.tile);
}
static inline void unit_release(void)
{
    memset(&unit, 0, sizeof unit);
}
static inline void unit_zero(int t)
{
    memset(unit.tile[t], 0, sizeof unit.tile[t]);
}
static inline void unit_load(int t, const void *from, int64_t stride_bytes)
{
    memset(unit.tile[t], 0, sizeof unit.tile[t]);
    for (int row = 0; row < unit.config.rows[t]; row++)
        memcpy(unit.tile[t][row], (const char *)from + row * stride_bytes, unit.config.row_bytes[t]);
}
static inline void unit_store(int t, void *to, int64_t stride_bytes)
{
    for (int row = 0; row < unit.config.rows[t]; row++)
        memcpy((char *)to + row * stride_bytes, unit.tile[t][row], unit.config.row_bytes[t]);
}
static inline float unit_flush(float x)
{
    return fabsf(x) < 0x1p-126f ? copysignf(0, x) : x;
}
static inline float unit_number(const unsigned char *row, int index)
{
    uint16_t word;
    memcpy(&word, row + 2 * index, sizeof word);
    uint32_t bits = (uint32_t)word << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return unit_flush(x);
}
/* TDPBF16PS */
static inline void unit_multiply_bf16(int c, int a, int b)
{
    for (int m = 0; m < unit.config.rows[c]; m++)
        for (int n = 0; n < unit.config.row_bytes[c] / 4; n++) {
            float even = 0, odd = 0, sum;
            for (int k = 0; k < unit.config.row_bytes[a] / 4; k++) {
                even = unit_flush(
                    fmaf(unit_number(unit.tile[a][m], 2 * k), unit_number(unit.tile[b][k], 2 * n), even));
                odd = unit_flush(fmaf(unit_number(unit.tile[a][m], 2 * k + 1),
                                      unit_number(unit.tile[b][k], 2 * n + 1), odd));
            }
            memcpy(&sum, unit.tile[c][m] + 4 * n, sizeof sum);
            sum = unit_flush(unit_flush(sum) + unit_flush(even + odd));
            memcpy(unit.tile[c][m] + 4 * n, &sum, sizeof sum);
        }
}

#else

#include <immintrin.h>

#define unit_configure(config) _tile_loadconfig(config)
#define unit_release() _tile_release()
#define unit_zero(t) _tile_zero(t)
#define unit_load(t, from, stride_bytes) _tile_loadd(t, from, stride_bytes)
#define unit_store(t, to, stride_bytes) _tile_stored(t, to, stride_bytes)
#define unit_multiply_bf16(c, a, b) _tile_dpbf16ps(c, a, b)

#endif

#endif
