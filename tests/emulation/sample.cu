#include "tests/emulation/sample.h"

#include "kernels/cuda/gpu.cuh"

enum { WARP = 32 };

__global__ void sum_kernel(const float *x, float *y, int n)
{
    float *partial = (float *)shared_memory();
    int thread = threadIdx.x;
    partial[thread] = x[blockIdx.x * n + thread];
    __syncthreads();
    for (int stride = n / 2; stride >= WARP; stride /= 2) {
        if (thread < stride)
            partial[thread] += partial[thread + stride];
        __syncthreads();
    }
    if (thread >= WARP)
        return;
    float sum = partial[thread];
    for (int lanes = WARP / 2; lanes > 0; lanes /= 2)
        sum += __shfl_xor_sync(0xffffffffu, sum, lanes);
    if (thread == 0)
        y[blockIdx.x] = sum;
}

cudaError_t sample_sum(const float *x, float *y, int n_blocks, int n, cudaStream_t stream)
{
    return launch(sum_kernel, n_blocks, n, n * sizeof(float), stream, x, y, n);
}

/* a's rows, then b's, 16 elements (32 bytes) each. */
__global__ void product_kernel(const uint16_t *a, const uint16_t *b, float *c, bool wait)
{
    uint16_t *rows = (uint16_t *)shared_memory();
    int lane = threadIdx.x;
    for (int piece = lane; piece < 24 * 2; piece += WARP)
        copy_async_16(rows + piece * 8, piece < 32 ? a + piece * 8 : b + (piece - 32) * 8);
    copy_async_commit();
    if (wait)
        copy_async_wait<0>();
    __syncwarp();
    uint32_t left[4], right[4];
    load_matrix_x4(left, rows + (lane % 16) * 16 + lane / 16 * 8);
    load_matrix_x4(right, rows + 256 + (lane % 8) * 16 + lane / 8 % 2 * 8);
    float sums[4] = {};
    const uint32_t pair[2] = {right[0], right[1]};
    mma_bf16(sums, left, pair);
    for (int i = 0; i < 4; i++)
        c[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = sums[i];
    copy_async_wait<0>();
}

cudaError_t sample_product(const uint16_t *a, const uint16_t *b, float *c, bool wait, cudaStream_t stream)
{
    return launch(product_kernel, 1, WARP, 24 * 32, stream, a, b, c, wait);
}

__device__ static int dig(int depth)
{
    volatile char hole[1024];
    hole[depth % 1024] = (char)depth;
    return depth < 0 ? 0 : dig(depth + 1) + hole[0];
}

__global__ void broken_kernel(sample_defect defect, float *memory)
{
    float *shared = (float *)shared_memory();
    int thread = threadIdx.x;
    bool half = thread % 2 == 0;
    uint32_t matrices[4];
    switch (defect) {
    case SAMPLE_BARRIER_NOT_REACHED:
        if (half)
            __syncthreads();
        break;
    case SAMPLE_TWO_BARRIERS:
        if (half)
            __syncthreads();
        else
            __syncthreads();
        break;
    case SAMPLE_DIVERGENT_SHUFFLE:
        if (half)
            memory[thread] = __shfl_xor_sync(0xffffffffu, 1.0f, 1);
        break;
    case SAMPLE_DIFFERENT_CALLS:
        if (half)
            memory[thread] = __shfl_xor_sync(0xffffffffu, 1.0f, 1);
        else
            memory[thread] = __ballot_sync(0xffffffffu, 1);
        break;
    case SAMPLE_READ_BEYOND_SHARED:
        memory[thread] = ((volatile float *)shared)[64 + thread];
        break;
    case SAMPLE_LOAD_BEYOND_SHARED:
        load_matrix_x4(matrices, shared + (thread % 32) * 4 + 4);
        memory[thread] = matrices[0];
        break;
    case SAMPLE_WRITE_BEFORE_SHARED:
        ((volatile float *)shared)[-1] = 0;
        break;
    case SAMPLE_WILD_READ:
        memory[thread] = *(volatile float *)(uintptr_t)(thread + 16);
        break;
    case SAMPLE_COPY_NEVER_WAITED:
        if (thread == 0)
            copy_async_16(shared, memory);
        copy_async_commit();
        break;
    case SAMPLE_COPY_UNALIGNED:
        copy_async_16(shared + thread * 4, memory + 1);
        break;
    case SAMPLE_DEEP_STACK:
        memory[thread] = dig(thread);
        break;
    default:
        break;
    }
}

cudaError_t sample_broken(sample_defect defect, float *memory, cudaStream_t stream)
{
    return launch(broken_kernel, 2, 2 * WARP, 64 * sizeof(float), stream, defect, memory);
}

__global__ void race_kernel(float *x)
{
    x[threadIdx.x + 1] = x[threadIdx.x] + 1;
}

cudaError_t sample_race(float *x, cudaStream_t stream)
{
    return launch(race_kernel, 1, 2 * WARP, 0, stream, x);
}
