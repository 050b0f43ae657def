#ifndef MILLRACE_TESTS_EMULATION_CUDA_FP16_H
#define MILLRACE_TESTS_EMULATION_CUDA_FP16_H

#include <stdint.h>
#include <string.h>

/* Stands in for CUDA's header: what weights in float16 need to be read. */
struct __half {
    uint16_t __x;
};

inline __half __ushort_as_half(unsigned short bits)
{
    return {bits};
}
inline float __half2float(__half value)
{
    _Float16 half;
    memcpy(&half, &value.__x, sizeof half);
    return (float)half;
}
inline __half __float2half_rn(float value)
{
    _Float16 half = (_Float16)value;
    __half result;
    memcpy(&result.__x, &half, sizeof half);
    return result;
}

#endif
