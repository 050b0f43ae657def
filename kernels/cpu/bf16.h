#ifndef MILLRACE_KERNELS_CPU_BF16_H
#define MILLRACE_KERNELS_CPU_BF16_H

#include "kernels/cpu/simd.h"

/*
 * Vectors of 16 floats from and to bfloat16, the upper half of a float32. Rounding goes to the nearest, ties
 * to even, in integer arithmetic, so that every machine gives the same bits. A NaN becomes 0x7FFF.
 *
 * A pair is two neighbours along the sum: element 2i in the low half of a 32-bit word, 2i + 1 in the high
 * half. A line of pairs is 16 such words, one for each column.
 */
enum { BF16_NAN = 0x7FFF };

static inline uint16_t bf16_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (x != x)
        return BF16_NAN;
    return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

static inline float bf16_value(uint16_t word)
{
    uint32_t bits = (uint32_t)word << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

#if defined(__AVX512F__)

static inline __m512i rounded_words(__m512 v) /* in the low half of each lane */
{
    __m512i bits = _mm512_castps_si512(v);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i words =
        _mm512_srli_epi32(_mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF))), 16);
    __mmask16 none = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    return _mm512_mask_mov_epi32(words, none, _mm512_set1_epi32(BF16_NAN));
}
static inline struct vf vf_load_bf16(const uint16_t *p)
{
    __m256i words = _mm256_loadu_si256((const __m256i *)p);
    return (struct vf){_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(words), 16))};
}
static inline void vf_store_bf16(uint16_t *p, struct vf a)
{
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtepi32_epi16(rounded_words(a.v)));
}
static inline struct vf vf_round_bf16(struct vf a)
{
    return (struct vf){_mm512_castsi512_ps(_mm512_slli_epi32(rounded_words(a.v), 16))};
}
static inline struct vf vf_pairs_even(const uint16_t *pairs)
{
    return (struct vf){_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_loadu_si512(pairs), 16))};
}
static inline struct vf vf_pairs_odd(const uint16_t *pairs)
{
    return (struct vf){
        _mm512_castsi512_ps(_mm512_and_si512(_mm512_loadu_si512(pairs), _mm512_set1_epi32((int)0xFFFF0000)))};
}
static inline void vf_store_pairs(uint16_t *pairs, struct vf even, struct vf odd)
{
    __m512i words = _mm512_or_si512(rounded_words(even.v), _mm512_slli_epi32(rounded_words(odd.v), 16));
    _mm512_storeu_si512(pairs, words);
}

#elif defined(__AVX2__)

static inline __m256i rounded_words(__m256 v) /* in the low half of each lane */
{
    __m256i bits = _mm256_castps_si256(v);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    __m256i words =
        _mm256_srli_epi32(_mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF))), 16);
    __m256i none = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    return _mm256_blendv_epi8(words, _mm256_set1_epi32(BF16_NAN), none);
}
static inline __m256 widened(__m128i words)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(words), 16));
}
static inline struct vf vf_load_bf16(const uint16_t *p)
{
    return (struct vf){widened(_mm_loadu_si128((const __m128i *)p)),
                       widened(_mm_loadu_si128((const __m128i *)(p + 8)))};
}
static inline void vf_store_bf16(uint16_t *p, struct vf a)
{
    __m256i mixed = _mm256_packus_epi32(rounded_words(a.low), rounded_words(a.high));
    _mm256_storeu_si256((__m256i *)p, _mm256_permute4x64_epi64(mixed, 0xD8));
}
static inline struct vf vf_round_bf16(struct vf a)
{
    return (struct vf){_mm256_castsi256_ps(_mm256_slli_epi32(rounded_words(a.low), 16)),
                       _mm256_castsi256_ps(_mm256_slli_epi32(rounded_words(a.high), 16))};
}
static inline struct vf vf_pairs_even(const uint16_t *pairs)
{
    const __m256i *line = (const __m256i *)pairs;
    return (struct vf){_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_loadu_si256(line), 16)),
                       _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_loadu_si256(line + 1), 16))};
}
static inline struct vf vf_pairs_odd(const uint16_t *pairs)
{
    const __m256i *line = (const __m256i *)pairs, upper = _mm256_set1_epi32((int)0xFFFF0000);
    return (struct vf){_mm256_castsi256_ps(_mm256_and_si256(_mm256_loadu_si256(line), upper)),
                       _mm256_castsi256_ps(_mm256_and_si256(_mm256_loadu_si256(line + 1), upper))};
}
static inline void vf_store_pairs(uint16_t *pairs, struct vf even, struct vf odd)
{
    __m256i *line = (__m256i *)pairs;
    _mm256_storeu_si256(
        line, _mm256_or_si256(rounded_words(even.low), _mm256_slli_epi32(rounded_words(odd.low), 16)));
    _mm256_storeu_si256(
        line + 1, _mm256_or_si256(rounded_words(even.high), _mm256_slli_epi32(rounded_words(odd.high), 16)));
}

#else

static inline struct vf vf_load_bf16(const uint16_t *p)
{
    struct vf r;
    for (int j = 0; j < LANES; j++)
        r.lane[j] = bf16_value(p[j]);
    return r;
}
static inline void vf_store_bf16(uint16_t *p, struct vf a)
{
    for (int j = 0; j < LANES; j++)
        p[j] = bf16_of(a.lane[j]);
}
static inline struct vf vf_round_bf16(struct vf a)
{
    for (int j = 0; j < LANES; j++)
        a.lane[j] = bf16_value(bf16_of(a.lane[j]));
    return a;
}
static inline struct vf vf_pairs_even(const uint16_t *pairs)
{
    struct vf r;
    for (int j = 0; j < LANES; j++)
        r.lane[j] = bf16_value(pairs[2 * j]);
    return r;
}
static inline struct vf vf_pairs_odd(const uint16_t *pairs)
{
    return vf_pairs_even(pairs + 1);
}
static inline void vf_store_pairs(uint16_t *pairs, struct vf even, struct vf odd)
{
    for (int j = 0; j < LANES; j++) {
        pairs[2 * j] = bf16_of(even.lane[j]);
        pairs[2 * j + 1] = bf16_of(odd.lane[j]);
    }
}

#endif

/* These touch n <= 16 elements of memory only. */
static inline struct vf vf_load_bf16_first(const uint16_t *p, int n)
{
    uint16_t words[LANES] = {0};
    memcpy(words, p, (size_t)n * sizeof *p);
    return vf_load_bf16(words);
}
static inline void vf_store_bf16_first(uint16_t *p, int n, struct vf a)
{
    uint16_t words[LANES];
    vf_store_bf16(words, a);
    memcpy(p, words, (size_t)n * sizeof *p);
}

/* Cells of tile_bf16 (isa.h): bfloat16 numbers as floats, or as words. */
#if defined(MILLRACE_TILES)
static inline void cells_store(bf16_cell *p, struct vf a)
{
    vf_store_bf16(p, a);
}
static inline bf16_cell cell_of(uint16_t word)
{
    return word;
}
#else
static inline void cells_store(bf16_cell *p, struct vf a)
{
    vf_store(p, a);
}
static inline bf16_cell cell_of(uint16_t word)
{
    return bf16_value(word);
}
#endif

#endif
