#ifndef MILLRACE_KERNELS_CUDA_VECTOR_CUH
#define MILLRACE_KERNELS_CUDA_VECTOR_CUH

#include <cuda_bf16.h>

#include "kernels/cuda/gpu.cuh"

/*
 * N neighbouring elements of a row as floats: one access of 4 * N bytes (float) or 2 * N bytes (bf16). N is 4
 * where the row's width and address allow it, else 1.
 */
template <int N> struct floats {
    float v[N];
};

__device__ inline floats<1> load_floats(const float *p, floats<1>)
{
    return {{p[0]}};
}

__device__ inline floats<4> load_floats(const float *p, floats<4>)
{
    float4 q = *reinterpret_cast<const float4 *>(p);
    return {{q.x, q.y, q.z, q.w}};
}

__device__ inline floats<1> load_floats(const __nv_bfloat16 *p, floats<1>)
{
    return {{__bfloat162float(p[0])}};
}

/* A bf16 is the upper half of its float. */
__device__ inline floats<4> load_floats(const __nv_bfloat16 *p, floats<4>)
{
    uint2 q = *reinterpret_cast<const uint2 *>(p);
    return {{__uint_as_float(q.x << 16), __uint_as_float(q.x & 0xFFFF0000u), __uint_as_float(q.y << 16),
             __uint_as_float(q.y & 0xFFFF0000u)}};
}

template <int N, class T> __device__ inline floats<N> load_floats(const T *p)
{
    return load_floats(p, floats<N>{});
}

__device__ inline void store_floats(float *p, floats<1> e)
{
    p[0] = e.v[0];
}

__device__ inline void store_floats(float *p, floats<4> e)
{
    *reinterpret_cast<float4 *>(p) = make_float4(e.v[0], e.v[1], e.v[2], e.v[3]);
}

__device__ inline void store_floats(__nv_bfloat16 *p, floats<1> e)
{
    p[0] = __float2bfloat16_rn(e.v[0]);
}

__device__ inline void store_floats(__nv_bfloat16 *p, floats<4> e)
{
    __nv_bfloat162 low = __floats2bfloat162_rn(e.v[0], e.v[1]), high = __floats2bfloat162_rn(e.v[2], e.v[3]);
    uint2 q;
    memcpy(&q.x, &low, sizeof low);
    memcpy(&q.y, &high, sizeof high);
    *reinterpret_cast<uint2 *>(p) = q;
}

/* Whether 4 elements can be read at a time from rows that begin at p, have `width` elements of size_bytes and
 * lie `ld` elements apart. */
inline bool walks_by_four(const void *p, int64_t ld, int width, size_t size_bytes)
{
    return width % 4 == 0 && ld % 4 == 0 && (uintptr_t)p % (4 * size_bytes) == 0;
}

/* The sum over the warp's lanes, by a tree: every lane gets the same bits. */
__device__ inline float warp_sum(float v)
{
    for (int distance = 16; distance > 0; distance /= 2)
        v += __shfl_xor_sync(0xFFFFFFFFu, v, distance);
    return v;
}

#endif
