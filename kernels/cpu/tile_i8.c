#include "kernels/cpu/tile_i8.h"

#include <string.h>

#include "kernels/cpu/simd.h"

/*
 * AVX2 and AVX-512BW multiply 16-bit numbers and add neighbours (pmaddwd), which is exact here: bytes are
 * widened on the way. A register holds, for each of some columns, two sums of every second pair; they meet at
 * the end. (vpmaddubsw would take bytes, but its 16-bit sums saturate.)
 */
#if defined(__AVX512BW__)

enum { PARTS = 2 }; /* registers for the 16 columns of a panel */
typedef __m512i lanes;

static inline lanes widened(const int8_t *b, int part)
{
    return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(b + 32 * part)));
}
static inline lanes four_of(const int16_t *a)
{
    int64_t four;
    memcpy(&four, a, sizeof four);
    return _mm512_set1_epi64(four);
}
static inline lanes add_products(lanes sum, lanes a, lanes b)
{
    return _mm512_add_epi32(sum, _mm512_madd_epi16(a, b));
}
static inline void store_sums(int32_t *out, const lanes sums[PARTS])
{
    for (int part = 0; part < PARTS; part++) {
        lanes both = _mm512_add_epi32(sums[part], _mm512_srli_epi64(sums[part], 32));
        _mm256_storeu_si256((__m256i *)(out + 8 * part), _mm512_cvtepi64_epi32(both));
    }
}
static inline lanes nothing(void)
{
    return _mm512_setzero_si512();
}

#elif defined(__AVX2__)

enum { PARTS = 4 };
typedef __m256i lanes;

static inline lanes widened(const int8_t *b, int part)
{
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(b + 16 * part)));
}
static inline lanes four_of(const int16_t *a)
{
    int64_t four;
    memcpy(&four, a, sizeof four);
    return _mm256_set1_epi64x(four);
}
static inline lanes add_products(lanes sum, lanes a, lanes b)
{
    return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
}
static inline void store_sums(int32_t *out, const lanes sums[PARTS])
{
    for (int part = 0; part < PARTS; part += 2) {
        lanes mixed = _mm256_hadd_epi32(sums[part], sums[part + 1]);
        _mm256_storeu_si256((__m256i *)(out + 4 * part), _mm256_permute4x64_epi64(mixed, 0xD8));
    }
}
static inline lanes nothing(void)
{
    return _mm256_setzero_si256();
}

#endif

#if defined(__AVX2__)

static inline __attribute__((always_inline)) void multiply(const struct tile_i8 *tile, const int rows,
                                                           const int panels)
{
    lanes sums[I8_ROWS][TILE_PANELS][PARTS], four[I8_ROWS];
    const int16_t *a = tile->a;
    const int8_t *b = tile->b;
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int p = 0; p < panels; p++)
#pragma GCC unroll 4
            for (int part = 0; part < PARTS; part++)
                sums[r][p][part] = nothing();
    for (int k = 0; k < tile->n_k; k += 4) {
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++)
            four[r] = four_of(a + r * tile->a_row);
#pragma GCC unroll 2
        for (int p = 0; p < panels; p++)
#pragma GCC unroll 4
            for (int part = 0; part < PARTS; part++) {
                lanes column = widened(b + p * tile->b_panel, part);
#pragma GCC unroll 8
                for (int r = 0; r < rows; r++)
                    sums[r][p][part] = add_products(sums[r][p][part], four[r], column);
            }
        a += 4;
        b += 4 * LANES;
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int p = 0; p < panels; p++)
            store_sums(tile->out + (r * TILE_PANELS + p) * LANES, sums[r][p]);
}

#else

static void multiply(const struct tile_i8 *tile, int rows, int panels)
{
    for (int r = 0; r < rows; r++)
        for (int p = 0; p < panels; p++) {
            int32_t *out = tile->out + (r * TILE_PANELS + p) * LANES;
            memset(out, 0, LANES * sizeof *out);
            for (int k = 0; k < tile->n_k; k++)
                for (int j = 0; j < LANES; j++)
                    out[j] += tile->a[r * tile->a_row + k] *
                              tile->b[p * tile->b_panel + (k / 4 * LANES + j) * 4 + k % 4];
        }
}

#endif

#define CASE(rows, panels)            \
    case (rows)*4 + (panels):         \
        multiply(tile, rows, panels); \
        break;

/* With constant rows and panels every sum is a register. */
void ISA(tile_i8)(const struct tile_i8 *tile, int rows, int panels)
{
    switch (rows * 4 + panels) {
        CASE(1, 1)
        CASE(2, 1)
        CASE(3, 1)
#if defined(__AVX512BW__) || defined(MILLRACE_TILES)
        CASE(1, 2)
        CASE(2, 2)
        CASE(3, 2)
#endif
#if defined(__AVX512BW__)
        CASE(4, 1)
        CASE(5, 1)
        CASE(6, 1)
        CASE(4, 2)
        CASE(5, 2)
        CASE(6, 2)
#endif
    }
}
