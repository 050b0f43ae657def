#include "kernels/cuda/convert.h"
#include "kernels/cuda/e4m3.cuh"
#include "kernels/cuda/vector.cuh"

/*
 * Turns rows of activations into e4m3 with one scale for each row, just before their product. Each element is
 * 2 bytes, read twice (the second time from the cache), and 1 byte is written. A block of threads has a row.
 * The largest element does not depend on the order in which it is looked for.
 */
enum { THREADS = 128, WARPS = THREADS / 32 };

__device__ inline float block_max_or_nan(float v)
{
    __shared__ float of_warp[WARPS];
    v = warp_max_or_nan(v);
    if (threadIdx.x % 32 == 0)
        of_warp[threadIdx.x / 32] = v;
    __syncthreads();
    for (int i = 0; i < WARPS; i++)
        v = max_or_nan(v, of_warp[i]);
    return v;
}

/* Stores by one access: q is aligned for it, which the compiler could not know of a copy of bytes. */
__device__ inline void store_packed(unsigned char *q, uint32_t packed, floats<1>)
{
    *q = (unsigned char)packed;
}

__device__ inline void store_packed(unsigned char *q, uint32_t packed, floats<4>)
{
    *reinterpret_cast<uint32_t *>(q) = packed;
}

template <int N>
__global__ void __launch_bounds__(THREADS)
    quantise(const __nv_bfloat16 *x, int64_t ld_x, int width, unsigned char *q, int64_t ld_q, float *scale)
{
    x += blockIdx.x * ld_x;
    q += blockIdx.x * ld_q;
    float amax = 0;
    for (int i = threadIdx.x * N; i < width; i += THREADS * N) {
        floats<N> e = load_floats<N>(x + i);
        for (int j = 0; j < N; j++)
            amax = max_or_nan(amax, fabsf(e.v[j]));
    }
    float by = e4m3_scale(block_max_or_nan(amax));
    for (int i = threadIdx.x * N; i < ld_q; i += THREADS * N) {
        floats<N> e = {};
        uint32_t packed = 0;
        if (i < width)
            e = load_floats<N>(x + i);
        for (int j = 0; j < N; j++)
            packed |= to_e4m3(e.v[j] / by) << 8 * j;
        store_packed(q + i, packed, e);
    }
    if (threadIdx.x == 0)
        scale[blockIdx.x] = by;
}

extern "C" void quantise_rows(struct device *device, const void *x, int64_t ld_x, int rows, int width,
                              void *q, int64_t ld_q, float *scale)
{
    dim3 grid(rows), block(THREADS);
    const __nv_bfloat16 *from = (const __nv_bfloat16 *)x;
    unsigned char *to = (unsigned char *)q;
    bool by_four = walks_by_four(x, ld_x, width, sizeof *from);
    device_check(
        device,
        by_four ? launch(quantise<4>, grid, block, 0, device->stream, from, ld_x, width, to, ld_q, scale)
                : launch(quantise<1>, grid, block, 0, device->stream, from, ld_x, width, to, ld_q, scale),
        "quantise");
}
