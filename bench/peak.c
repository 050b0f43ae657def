#include "bench/peak.h"

enum { CHAINS = 12 }; /* more than latency x units, less than the registers */

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx512f"))) static double peak_avx512(long rounds)
{
    volatile float sink;
    __m512 sum[CHAINS], a = _mm512_set1_ps(0.5f), b = _mm512_set1_ps(1);
#pragma GCC unroll 12
    for (int i = 0; i < CHAINS; i++)
        sum[i] = _mm512_set1_ps((float)i);
    for (long r = 0; r < rounds; r++)
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++)
            sum[i] = _mm512_fmadd_ps(sum[i], a, b);
#pragma GCC unroll 12
    for (int i = 0; i < CHAINS; i++)
        sink = _mm512_cvtss_f32(sum[i]);
    (void)sink;
    return 2.0 * 16 * CHAINS * (double)rounds;
}

__attribute__((target("avx2,fma"))) static double peak_avx2(long rounds)
{
    volatile float sink;
    __m256 sum[CHAINS], a = _mm256_set1_ps(0.5f), b = _mm256_set1_ps(1);
#pragma GCC unroll 12
    for (int i = 0; i < CHAINS; i++)
        sum[i] = _mm256_set1_ps((float)i);
    for (long r = 0; r < rounds; r++)
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++)
            sum[i] = _mm256_fmadd_ps(sum[i], a, b);
#pragma GCC unroll 12
    for (int i = 0; i < CHAINS; i++)
        sink = _mm256_cvtss_f32(sum[i]);
    (void)sink;
    return 2.0 * 8 * CHAINS * (double)rounds;
}
#endif

static double peak_scalar(long rounds)
{
    volatile float sink;
    float sum[CHAINS] = {0};
    for (long r = 0; r < rounds; r++)
        for (int i = 0; i < CHAINS; i++)
            sum[i] = sum[i] * 0.5f + 1;
    for (int i = 0; i < CHAINS; i++)
        sink = sum[i];
    (void)sink;
    return 2.0 * CHAINS * (double)rounds;
}

double peak_run(long rounds)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f"))
        return peak_avx512(rounds);
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return peak_avx2(rounds);
#endif
    return peak_scalar(rounds);
}
