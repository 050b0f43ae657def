#ifndef MILLRACE_TESTS_EMULATION_CUDA_BF16_H
#define MILLRACE_TESTS_EMULATION_CUDA_BF16_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Stands in for CUDA's header: bfloat16 is the upper half of a float32; conversion rounds to nearest, ties to
 * even. */
struct __nv_bfloat16 {
    uint16_t __x;
};
struct alignas(4) __nv_bfloat162 {
    __nv_bfloat16 x, y;
};

inline __nv_bfloat16 __float2bfloat16_rn(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (value != value)
        return {0x7fff};
    return {(uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}
inline __nv_bfloat16 __float2bfloat16(float value)
{
    return __float2bfloat16_rn(value);
}
inline float __bfloat162float(__nv_bfloat16 value)
{
    uint32_t bits = (uint32_t)value.__x << 16;
    float wide;
    memcpy(&wide, &bits, sizeof wide);
    return wide;
}
inline __nv_bfloat162 __floats2bfloat162_rn(float x, float y)
{
    return {__float2bfloat16_rn(x), __float2bfloat16_rn(y)};
}
inline float __low2float(__nv_bfloat162 pair)
{
    return __bfloat162float(pair.x);
}
inline float __high2float(__nv_bfloat162 pair)
{
    return __bfloat162float(pair.y);
}
inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short bits)
{
    return {bits};
}
inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 value)
{
    return value.__x;
}

#endif
