#ifndef MILLRACE_TESTS_EMULATION_CUDA_FP8_H
#define MILLRACE_TESTS_EMULATION_CUDA_FP8_H

#include <math.h>
#include <stdint.h>

/*
 * Stands in for CUDA's header: e4m3 (4 bits of exponent with bias 7, 3 of mantissa, no infinity, 0x7f is NaN;
 * largest 448), rounded to nearest, ties to even, and saturated.
 */
typedef unsigned char __nv_fp8_storage_t;
enum __nv_saturation_t { __NV_NOSAT, __NV_SATFINITE };
enum __nv_fp8_interpretation_t { __NV_E4M3, __NV_E5M2 };

/* Only saturating e4m3. */
inline __nv_fp8_storage_t __nv_cvt_float_to_fp8(float x, __nv_saturation_t, __nv_fp8_interpretation_t)
{
    uint8_t sign = signbit(x) ? 0x80 : 0;
    float size = fabsf(x);
    if (x != x)
        return 0x7f;
    if (size >= 448)
        return sign | 0x7e;
    int exponent = size < 0x1p-6f ? -6 : ilogbf(size);
    int steps =
        (int)rintf(ldexpf(size, 3 - exponent)); /* of 2^(exponent - 3); a carry moves into the exponent */
    return sign | (uint8_t)(steps + (exponent + 6) * 8);
}

struct __nv_fp8_e4m3 {
    __nv_fp8_storage_t __x;

    __nv_fp8_e4m3() = default;
    explicit __nv_fp8_e4m3(float x) : __x(__nv_cvt_float_to_fp8(x, __NV_SATFINITE, __NV_E4M3))
    {
    }
    explicit operator float() const
    {
        int exponent = __x >> 3 & 15, mantissa = __x & 7;
        float size =
            exponent == 0 ? ldexpf((float)mantissa, -9) : ldexpf((float)(8 + mantissa), exponent - 10);
        if ((__x & 0x7f) == 0x7f)
            return NAN;
        return __x & 0x80 ? -size : size;
    }
};

#endif
