#ifndef MILLRACE_TESTS_EMULATION_DEVICE_LANGUAGE_H
#define MILLRACE_TESTS_EMULATION_DEVICE_LANGUAGE_H

#include <math.h>
#include <string.h>

#include "tests/emulation/block.h"
#include "tests/emulation/warp.h"

/*
 * CUDA C++ as ordinary C++: the words of the language, the indexes of a thread, and the intrinsics that the
 * backend's kernels use. Static __shared__ variables work (blocks run one after the other); dynamic shared
 * memory is shared_memory() of gpu.cuh, which is checked and therefore to be preferred.
 */
#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __shared__ static
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(n) alignas(n)

#define threadIdx (emulation::current->index)
#define blockIdx (emulation::block_index)
#define blockDim (emulation::block_size)
#define gridDim (emulation::grid_size)
constexpr int warpSize = emulation::warp_size;

inline void __syncthreads(const char *file = __builtin_FILE(), int line = __builtin_LINE())
{
    emulation::barrier(file, line);
}
inline void __threadfence()
{
}
inline void __threadfence_block()
{
}

template <typename T> T __ldg(const T *p)
{
    return *p;
}
template <typename T> T __ldcs(const T *p)
{
    return *p;
}
template <typename T> T __ldcg(const T *p)
{
    return *p;
}
template <typename T> void __stcs(T *p, T value)
{
    *p = value;
}

/* One thread runs at a time: what it does between two switches is atomic. */
template <typename T> T atomicAdd(T *p, T value)
{
    T before = *p;
    *p = before + value;
    return before;
}
template <typename T> T atomicMax(T *p, T value)
{
    T before = *p;
    *p = before > value ? before : value;
    return before;
}
template <typename T> T atomicMin(T *p, T value)
{
    T before = *p;
    *p = before < value ? before : value;
    return before;
}
template <typename T> T atomicExch(T *p, T value)
{
    T before = *p;
    *p = value;
    return before;
}
template <typename T> T atomicCAS(T *p, T compare, T value)
{
    T before = *p;
    *p = before == compare ? value : before;
    return before;
}

template <typename To, typename From> To emulation_bits(From from)
{
    static_assert(sizeof(To) == sizeof(From), "");
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}
inline float __int_as_float(int x)
{
    return emulation_bits<float>(x);
}
inline int __float_as_int(float x)
{
    return emulation_bits<int>(x);
}
inline float __uint_as_float(unsigned x)
{
    return emulation_bits<float>(x);
}
inline unsigned __float_as_uint(float x)
{
    return emulation_bits<unsigned>(x);
}
inline long long __double_as_longlong(double x)
{
    return emulation_bits<long long>(x);
}
inline double __longlong_as_double(long long x)
{
    return emulation_bits<double>(x);
}

inline float __fmaf_rn(float a, float b, float c)
{
    return fmaf(a, b, c);
}
inline float __fadd_rn(float a, float b)
{
    return a + b;
}
inline float __fsub_rn(float a, float b)
{
    return a - b;
}
inline float __fmul_rn(float a, float b)
{
    return a * b;
}
inline float __fdiv_rn(float a, float b)
{
    return a / b;
}
inline float __frcp_rn(float a)
{
    return 1 / a;
}
inline float __fsqrt_rn(float a)
{
    return sqrtf(a);
}
inline float __fdividef(float a, float b)
{
    return a / b;
}
inline float rsqrtf(float a)
{
    return 1 / sqrtf(a);
}
inline float __expf(float x)
{
    return expf(x);
}
inline float __logf(float x)
{
    return logf(x);
}
inline double __dadd_rn(double a, double b)
{
    return a + b;
}
inline double __dmul_rn(double a, double b)
{
    return a * b;
}
inline int __popc(unsigned x)
{
    return __builtin_popcount(x);
}
inline int __clz(int x)
{
    return x == 0 ? 32 : __builtin_clz((unsigned)x);
}
inline int __ffs(int x)
{
    return __builtin_ffs(x);
}
inline int __float2int_rn(float x)
{
    return (int)rintf(x);
}
inline float __saturatef(float x)
{
    return x >= 0 ? (x <= 1 ? x : 1) : 0;
}

#define EMULATION_MIN_MAX(type)     \
    inline type min(type a, type b) \
    {                               \
        return b < a ? b : a;       \
    }                               \
    inline type max(type a, type b) \
    {                               \
        return a < b ? b : a;       \
    }
EMULATION_MIN_MAX(int)
EMULATION_MIN_MAX(unsigned)
EMULATION_MIN_MAX(long)
EMULATION_MIN_MAX(unsigned long)
EMULATION_MIN_MAX(long long)
EMULATION_MIN_MAX(unsigned long long)
#undef EMULATION_MIN_MAX

#endif
