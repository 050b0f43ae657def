#include <cuda_bf16.h>

#include "kernels/cuda/convert.h"
#include "kernels/cuda/e4m3.cuh"
#include "kernels/cuda/gpu.cuh"

/* Converts weights from the file's format to ours: a block of threads has a row. It runs once for each
 * weight, at the speed of the bus. */
enum { THREADS = 128, WARPS = THREADS / 32 };

__device__ inline float number(float v)
{
    return v;
}

__device__ inline float number(__nv_bfloat16 v)
{
    return __bfloat162float(v);
}

/* IEEE binary16: the exponent moved by 2^112, which makes its subnormals right too. */
struct half_bits {
    uint16_t bits;
};

__device__ inline float number(struct half_bits v)
{
    uint32_t sign = (uint32_t)(v.bits & 0x8000u) << 16, rest = (uint32_t)(v.bits & 0x7FFFu) << 13;
    if (rest >= 0x1Fu << 23)
        return __uint_as_float(sign | rest | 0x7F800000u);
    return __uint_as_float(sign | __float_as_uint(__uint_as_float(rest) * 0x1p112f));
}

__device__ inline void put(float *to, float v)
{
    *to = v;
}

__device__ inline void put(__nv_bfloat16 *to, float v)
{
    *to = __float2bfloat16_rn(v);
}

template <class From, class To> __global__ void convert(const From *from, int n_in, To *to, int64_t ld)
{
    from += (int64_t)blockIdx.x * n_in;
    to += blockIdx.x * ld;
    for (int i = threadIdx.x; i < n_in; i += THREADS)
        put(&to[i], number(from[i]));
}

template <class From>
__global__ void convert_e4m3(const From *from, int n_in, unsigned char *to, int64_t ld, float *scale)
{
    __shared__ float of_warp[WARPS];
    from += (int64_t)blockIdx.x * n_in;
    to += blockIdx.x * ld;
    float amax = 0;
    for (int i = threadIdx.x; i < n_in; i += THREADS)
        amax = max_or_nan(amax, fabsf(number(from[i])));
    amax = warp_max_or_nan(amax);
    if (threadIdx.x % 32 == 0)
        of_warp[threadIdx.x / 32] = amax;
    __syncthreads();
    for (int i = 0; i < WARPS; i++)
        amax = max_or_nan(amax, of_warp[i]);
    float by = e4m3_scale(amax);
    for (int i = threadIdx.x; i < n_in; i += THREADS)
        to[i] = (unsigned char)to_e4m3(number(from[i]) / by);
    if (threadIdx.x == 0)
        scale[blockIdx.x] = by;
}

template <class From>
static cudaError_t convert_from(struct device *device, const struct weight *weight, int first, int rows,
                                const void *from)
{
    dim3 grid(rows), block(THREADS);
    const From *source = (const From *)from;
    int64_t at = first * weight->ld;
    if (weight->format == WEIGHT_F32)
        return launch(convert<From, float>, grid, block, 0, device->stream, source, weight->n_in,
                      (float *)weight->data + at, weight->ld);
    if (weight->format == WEIGHT_BF16)
        return launch(convert<From, __nv_bfloat16>, grid, block, 0, device->stream, source, weight->n_in,
                      (__nv_bfloat16 *)weight->data + at, weight->ld);
    return launch(convert_e4m3<From>, grid, block, 0, device->stream, source, weight->n_in,
                  (unsigned char *)weight->data + at, weight->ld, weight->scale + first);
}

extern "C" void convert_rows(struct device *device, const struct weight *weight, int first, int rows,
                             const void *from, enum dtype dtype)
{
    cudaError_t result = dtype == DTYPE_F32 ? convert_from<float>(device, weight, first, rows, from)
                         : dtype == DTYPE_BF16
                             ? convert_from<__nv_bfloat16>(device, weight, first, rows, from)
                             : convert_from<half_bits>(device, weight, first, rows, from);
    device_check(device, result, "converting a weight");
}

__global__ void __launch_bounds__(THREADS) round_vector(const float *from, int n, __nv_bfloat16 *to)
{
    int i = blockIdx.x * THREADS + threadIdx.x;
    if (i < n)
        to[i] = __float2bfloat16_rn(from[i]);
}

extern "C" void round_to_bf16(struct device *device, const float *from, int n, void *to)
{
    if (n > 0)
        device_check(device,
                     launch(round_vector, dim3((unsigned)divide_up(n, THREADS)), dim3(THREADS), 0,
                            device->stream, from, n, (__nv_bfloat16 *)to),
                     "rounding a bias");
}
