#ifndef MILLRACE_KERNELS_CUDA_E4M3_CUH
#define MILLRACE_KERNELS_CUDA_E4M3_CUH

#include "kernels/cuda/gpu.cuh"

/*
 * The 8-bit format e4m3 (Micikevicius et al., arXiv 2209.05433): sign, 4 bits of exponent (bias 7), 3 of
 * fraction; largest 448; subnormals down to 2^-9; no infinity. The conversions use no instructions for fp8,
 * so that every GPU, old ones too, rounds alike.
 */
/* The nearest e4m3 (ties to even) of |v| <= 448; anything larger becomes 448. v must be a number. */
__device__ inline uint32_t to_e4m3(float v)
{
    uint32_t sign = __float_as_uint(v) >> 24 & 0x80u;
    float small = fminf(fabsf(v), 448.0f);
    if (small < 0x1p-6f) /* subnormal: steps of 2^-9; the sum with 1.5 * 2^14 rounds to them, ties to even */
        return sign | (__float_as_uint(small + 0x1.8p14f) & 0xFu);
    uint32_t bits = __float_as_uint(small);
    bits += 0x7FFFFu + (bits >> 20 & 1u);
    return sign | ((bits >> 20) - (120u << 3));
}

/* The value of an e4m3 as the bits of a bf16: a bf16 holds every e4m3. The bits are shifted into place and
 * scaled by 2^120. NaN is not kept. */
__device__ inline uint32_t e4m3_to_bf16(uint32_t e4m3)
{
    float value = __uint_as_float((e4m3 & 0x7Fu) << 20) * 0x1p120f;
    return (e4m3 & 0x80u) << 8 | __float_as_uint(value) >> 16;
}

/* The scale of a row whose largest |element| is amax, so that amax becomes 448. A row whose elements are all
 * below 2^-100 becomes zeros. A row that holds a NaN has the scale NaN, so everything that is multiplied by
 * that scale is NaN too. */
__device__ inline float e4m3_scale(float amax)
{
    return amax < 0x1p-100f ? 1.0f : amax / 448.0f;
}

/* The larger; NaN if one of them is. */
__device__ inline float max_or_nan(float a, float b)
{
    return !(a >= b) && !(b >= a) ? a + b : a >= b ? a : b;
}

__device__ inline float warp_max_or_nan(float v)
{
    for (int distance = 16; distance > 0; distance /= 2)
        v = max_or_nan(v, __shfl_xor_sync(0xFFFFFFFFu, v, distance));
    return v;
}

#endif
