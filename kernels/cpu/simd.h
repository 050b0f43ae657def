#ifndef MILLRACE_KERNELS_CPU_SIMD_H
#define MILLRACE_KERNELS_CPU_SIMD_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels/cpu/isa.h"

/*
 * One vector: 16 floats, whatever the machine has. AVX-512 holds it in one register, AVX2 in two, the generic
 * copy in an array of lanes. Every operation is exactly rounded lane by lane (fma: one rounding), and the
 * reductions follow one fixed tree, so that all three give the same bits.
 *
 * vf_first(n, a, b): the lanes below n from a, the others from b. load_first and store_first touch only n
 * floats. max(a, b) is a > b ? a : b and min(a, b) is a < b ? a : b: b where either is not a number, as x86
 * does it.
 */
#if defined(__AVX2__)
#include <immintrin.h>

static inline __m128 halves_add(__m256 v)
{
    return _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
}

static inline __m128 halves_max(__m256 v)
{
    return _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
}

static inline float quad_add(__m128 v)
{
    v = _mm_add_ps(v, _mm_movehl_ps(v, v));
    return _mm_cvtss_f32(_mm_add_ss(v, _mm_shuffle_ps(v, v, 1)));
}

static inline float quad_max(__m128 v)
{
    v = _mm_max_ps(v, _mm_movehl_ps(v, v));
    return _mm_cvtss_f32(_mm_max_ss(v, _mm_shuffle_ps(v, v, 1)));
}
#endif

#if defined(__AVX512F__)

struct vf {
    __m512 v;
};

static inline __mmask16 first_lanes(int n)
{
    return (__mmask16)((1u << n) - 1);
}

static inline struct vf vf_all(float x)
{
    return (struct vf){_mm512_set1_ps(x)};
}
static inline struct vf vf_load(const float *p)
{
    return (struct vf){_mm512_loadu_ps(p)};
}
static inline struct vf vf_load_first(const float *p, int n)
{
    return (struct vf){_mm512_maskz_loadu_ps(first_lanes(n), p)};
}
static inline void vf_store(float *p, struct vf a)
{
    _mm512_storeu_ps(p, a.v);
}
static inline void vf_store_first(float *p, int n, struct vf a)
{
    _mm512_mask_storeu_ps(p, first_lanes(n), a.v);
}
static inline struct vf vf_first(int n, struct vf a, struct vf b)
{
    return (struct vf){_mm512_mask_blend_ps(first_lanes(n), b.v, a.v)};
}
static inline struct vf vf_add(struct vf a, struct vf b)
{
    return (struct vf){_mm512_add_ps(a.v, b.v)};
}
static inline struct vf vf_sub(struct vf a, struct vf b)
{
    return (struct vf){_mm512_sub_ps(a.v, b.v)};
}
static inline struct vf vf_mul(struct vf a, struct vf b)
{
    return (struct vf){_mm512_mul_ps(a.v, b.v)};
}
static inline struct vf vf_div(struct vf a, struct vf b)
{
    return (struct vf){_mm512_div_ps(a.v, b.v)};
}
static inline struct vf vf_fma(struct vf a, struct vf b, struct vf c) /* a * b + c */
{
    return (struct vf){_mm512_fmadd_ps(a.v, b.v, c.v)};
}
static inline struct vf vf_max(struct vf a, struct vf b)
{
    return (struct vf){_mm512_max_ps(a.v, b.v)};
}
static inline struct vf vf_min(struct vf a, struct vf b)
{
    return (struct vf){_mm512_min_ps(a.v, b.v)};
}
static inline struct vf vf_if_less(struct vf a, struct vf b, struct vf x, struct vf y) /* a < b ? x : y */
{
    return (struct vf){_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ), y.v, x.v)};
}
static inline struct vf vf_bits_to_power(struct vf a) /* the low bits of a, an integer n, as 2^n */
{
    __m512i bits = _mm512_slli_epi32(_mm512_castps_si512(a.v), 23);
    return (struct vf){_mm512_castsi512_ps(_mm512_add_epi32(bits, _mm512_set1_epi32(0x3F800000)))};
}
static inline float vf_sum(struct vf a)
{
    __m256 low = _mm512_castps512_ps256(a.v), high = _mm512_extractf32x8_ps(a.v, 1);
    return quad_add(halves_add(_mm256_add_ps(low, high)));
}
static inline float vf_largest(struct vf a)
{
    __m256 low = _mm512_castps512_ps256(a.v), high = _mm512_extractf32x8_ps(a.v, 1);
    return quad_max(halves_max(_mm256_max_ps(low, high)));
}

#elif defined(__AVX2__)

struct vf {
    __m256 low, high;
};

static inline __m256i first_lanes(int n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

static inline struct vf vf_all(float x)
{
    return (struct vf){_mm256_set1_ps(x), _mm256_set1_ps(x)};
}
static inline struct vf vf_load(const float *p)
{
    return (struct vf){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
static inline struct vf vf_load_first(const float *p, int n)
{
    return (struct vf){_mm256_maskload_ps(p, first_lanes(n)), _mm256_maskload_ps(p + 8, first_lanes(n - 8))};
}
static inline void vf_store(float *p, struct vf a)
{
    _mm256_storeu_ps(p, a.low);
    _mm256_storeu_ps(p + 8, a.high);
}
static inline void vf_store_first(float *p, int n, struct vf a)
{
    _mm256_maskstore_ps(p, first_lanes(n), a.low);
    _mm256_maskstore_ps(p + 8, first_lanes(n - 8), a.high);
}
static inline struct vf vf_first(int n, struct vf a, struct vf b)
{
    return (struct vf){_mm256_blendv_ps(b.low, a.low, _mm256_castsi256_ps(first_lanes(n))),
                       _mm256_blendv_ps(b.high, a.high, _mm256_castsi256_ps(first_lanes(n - 8)))};
}
static inline struct vf vf_add(struct vf a, struct vf b)
{
    return (struct vf){_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
}
static inline struct vf vf_sub(struct vf a, struct vf b)
{
    return (struct vf){_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
}
static inline struct vf vf_mul(struct vf a, struct vf b)
{
    return (struct vf){_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}
static inline struct vf vf_div(struct vf a, struct vf b)
{
    return (struct vf){_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)};
}
static inline struct vf vf_fma(struct vf a, struct vf b, struct vf c) /* a * b + c */
{
    return (struct vf){_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
static inline struct vf vf_max(struct vf a, struct vf b)
{
    return (struct vf){_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
}
static inline struct vf vf_min(struct vf a, struct vf b)
{
    return (struct vf){_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)};
}
static inline struct vf vf_if_less(struct vf a, struct vf b, struct vf x, struct vf y) /* a < b ? x : y */
{
    return (struct vf){_mm256_blendv_ps(y.low, x.low, _mm256_cmp_ps(a.low, b.low, _CMP_LT_OQ)),
                       _mm256_blendv_ps(y.high, x.high, _mm256_cmp_ps(a.high, b.high, _CMP_LT_OQ))};
}
static inline __m256 half_bits_to_power(__m256 a)
{
    __m256i bits = _mm256_slli_epi32(_mm256_castps_si256(a), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(bits, _mm256_set1_epi32(0x3F800000)));
}
static inline struct vf vf_bits_to_power(struct vf a) /* the low bits of a, an integer n, as 2^n */
{
    return (struct vf){half_bits_to_power(a.low), half_bits_to_power(a.high)};
}
static inline float vf_sum(struct vf a)
{
    return quad_add(halves_add(_mm256_add_ps(a.low, a.high)));
}
static inline float vf_largest(struct vf a)
{
    return quad_max(halves_max(_mm256_max_ps(a.low, a.high)));
}

#else

struct vf {
    float lane[LANES];
};

#define FOR_LANES for (int j = 0; j < LANES; j++)

static inline struct vf vf_all(float x)
{
    struct vf r;
    FOR_LANES r.lane[j] = x;
    return r;
}
static inline struct vf vf_load(const float *p)
{
    struct vf r;
    memcpy(r.lane, p, sizeof r.lane);
    return r;
}
static inline struct vf vf_load_first(const float *p, int n)
{
    struct vf r;
    FOR_LANES r.lane[j] = j < n ? p[j] : 0;
    return r;
}
static inline void vf_store(float *p, struct vf a)
{
    memcpy(p, a.lane, sizeof a.lane);
}
static inline void vf_store_first(float *p, int n, struct vf a)
{
    for (int j = 0; j < LANES && j < n; j++)
        p[j] = a.lane[j];
}
static inline struct vf vf_first(int n, struct vf a, struct vf b)
{
    FOR_LANES b.lane[j] = j < n ? a.lane[j] : b.lane[j];
    return b;
}
static inline struct vf vf_add(struct vf a, struct vf b)
{
    FOR_LANES a.lane[j] += b.lane[j];
    return a;
}
static inline struct vf vf_sub(struct vf a, struct vf b)
{
    FOR_LANES a.lane[j] -= b.lane[j];
    return a;
}
static inline struct vf vf_mul(struct vf a, struct vf b)
{
    FOR_LANES a.lane[j] *= b.lane[j];
    return a;
}
static inline struct vf vf_div(struct vf a, struct vf b)
{
    FOR_LANES a.lane[j] /= b.lane[j];
    return a;
}
static inline struct vf vf_fma(struct vf a, struct vf b, struct vf c) /* a * b + c */
{
    FOR_LANES c.lane[j] = fmaf(a.lane[j], b.lane[j], c.lane[j]);
    return c;
}
static inline struct vf vf_max(struct vf a, struct vf b)
{
    FOR_LANES b.lane[j] = a.lane[j] > b.lane[j] ? a.lane[j] : b.lane[j];
    return b;
}
static inline struct vf vf_min(struct vf a, struct vf b)
{
    FOR_LANES b.lane[j] = a.lane[j] < b.lane[j] ? a.lane[j] : b.lane[j];
    return b;
}
static inline struct vf vf_if_less(struct vf a, struct vf b, struct vf x, struct vf y) /* a < b ? x : y */
{
    FOR_LANES y.lane[j] = a.lane[j] < b.lane[j] ? x.lane[j] : y.lane[j];
    return y;
}
static inline struct vf vf_bits_to_power(struct vf a) /* the low bits of a, an integer n, as 2^n */
{
    uint32_t bits[LANES];
    memcpy(bits, a.lane, sizeof bits);
    FOR_LANES bits[j] = (bits[j] << 23) + 0x3F800000u;
    memcpy(a.lane, bits, sizeof bits);
    return a;
}
static inline float vf_sum(struct vf a)
{
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int j = 0; j < half; j++)
            a.lane[j] += a.lane[j + half];
    return a.lane[0];
}
static inline float vf_largest(struct vf a)
{
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int j = 0; j < half; j++)
            a.lane[j] = a.lane[j] > a.lane[j + half] ? a.lane[j] : a.lane[j + half];
    return a.lane[0];
}

#undef FOR_LANES
#endif

#endif
