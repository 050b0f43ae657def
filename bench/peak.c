#include "bench/peak.h"

enum { CHAINS = 12 }; /* more than latency x units, less than the registers */

#if defined(__x86_64__)
#include <immintrin.h>

/* Unrolled, so that the sums stay in registers. */
#define EACH_CHAIN _Pragma("GCC unroll 12") for (int i = 0; i < CHAINS; i++)

#define DEFINE_PEAK(BITS, TARGET)                                                         \
    __attribute__((target(TARGET))) static double peak_##BITS(long rounds)                \
    {                                                                                     \
        volatile float sink;                                                              \
        __m##BITS sum[CHAINS], a = _mm##BITS##_set1_ps(0.5f), b = _mm##BITS##_set1_ps(1); \
        EACH_CHAIN sum[i] = _mm##BITS##_set1_ps((float)i);                                \
        for (long r = 0; r < rounds; r++)                                                 \
            EACH_CHAIN sum[i] = _mm##BITS##_fmadd_ps(sum[i], a, b);                       \
        EACH_CHAIN sink = _mm##BITS##_cvtss_f32(sum[i]);                                  \
        (void)sink;                                                                       \
        return 2.0 * BITS / 32 * CHAINS * (double)rounds;                                 \
    }
DEFINE_PEAK(512, "avx512f")
DEFINE_PEAK(256, "avx2,fma")
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
        return peak_512(rounds);
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return peak_256(rounds);
#endif
    return peak_scalar(rounds);
}
