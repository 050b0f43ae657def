#ifndef MILLRACE_KERNELS_CUDA_GPU_CUH
#define MILLRACE_KERNELS_CUDA_GPU_CUH

#include <cuda_runtime.h>
#include <stdint.h>

/*
 * The parts of our kernels that are particular to the GPU: the launch, and PTX instructions as small
 * functions (sm_80 and later). PTX appears nowhere else, so that tests/emulation can run the kernels on a CPU
 * with twins of this file's functions. Sources include it as "kernels/cuda/gpu.cuh", and never
 * <cuda_runtime.h>'s launch syntax <<< >>>. PTX: "PTX ISA 9.0", sections 9.7.14 (mma, ldmatrix) and 9.7.9.25
 * (cp.async).
 */

/*
 * Enqueues kernel(arguments...). The result says whether the launch was accepted; later failures show up on
 * the stream. This function asks for dynamic shared memory above 48 KB; at most 227 KB on sm_90, 163 KB on
 * sm_80.
 */
template <typename... P, typename... A>
cudaError_t launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream,
                   A... arguments)
{
    if (shared_bytes > 48 * 1024) {
        cudaError_t error = cudaFuncSetAttribute(
            (const void *)kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared_bytes);
        if (error != cudaSuccess)
            return error;
    }
    cudaLaunchConfig_t config = {};
    config.gridDim = grid;
    config.blockDim = block;
    config.dynamicSmemBytes = shared_bytes;
    config.stream = stream;
    return cudaLaunchKernelEx(&config, kernel, static_cast<P>(arguments)...);
}

/* The block's dynamic shared memory, aligned to 128 bytes. */
__device__ __forceinline__ unsigned char *shared_memory()
{
    extern __shared__ __align__(128) unsigned char millrace_shared[];
    return millrace_shared;
}

__device__ __forceinline__ uint32_t shared_address(const void *shared)
{
    return (uint32_t)__cvta_generic_to_shared(shared);
}

/*
 * c[16, 8] += a[16, 16] · b[16, 8] by a warp, bf16 products summed in float32. With row = lane / 4, column =
 * lane % 4 * 2: a[0..3] are pairs at (row, column), (row + 8, column), (row, column + 8), (row + 8, column +
 * 8); b[0..1] pairs down k at (k = column, n = row), (column + 8, row); c[0..1] at (row, column), c[2..3] at
 * (row + 8, column).
 */
__device__ __forceinline__ void mma_bf16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2])
{
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};\n"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/* Four 8x8 matrices of 16-bit elements from shared memory; lane l has the address of row l % 8 of matrix l /
 * 8 (16 bytes, aligned). to[m] is the pair at (lane / 4, lane % 4 * 2) of matrix m. */
__device__ __forceinline__ void load_matrix_x4(uint32_t (&to)[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(shared_address(row))
                 : "memory");
}

/* The same of the transposed matrices. */
__device__ __forceinline__ void load_matrix_x4_transposed(uint32_t (&to)[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];\n"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(shared_address(row))
                 : "memory");
}

/* Starts a copy of size_bytes <= 16 from global memory (aligned to 16) to 16 bytes of shared memory, and
 * fills the rest with zeros. With size_bytes 0 nothing is read. The copy bypasses the first-level cache. */
__device__ __forceinline__ void copy_async_16(void *shared, const void *global, int size_bytes = 16)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(shared_address(shared)), "l"(global),
                 "r"(size_bytes)
                 : "memory");
}

/* Makes one group of the copies that this thread has started since the last commit. */
__device__ __forceinline__ void copy_async_commit()
{
    asm volatile("cp.async.commit_group;\n" ::: "memory");
}

/* Waits until at most groups_left of this thread's latest groups are under way. Other threads see the bytes
 * after a barrier. */
template <int groups_left> __device__ __forceinline__ void copy_async_wait()
{
    asm volatile("cp.async.wait_group %0;\n" ::"n"(groups_left) : "memory");
}

/* 2^x, relative error about 2^-22; 0 for -INFINITY. */
__device__ __forceinline__ float exp2_fast(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

/* tanh x, relative error about 2^-11: less than bf16 keeps. */
__device__ __forceinline__ float tanh_fast(float x)
{
    float y;
    asm("tanh.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

/* 1 / x, relative error about 2^-23. */
__device__ __forceinline__ float reciprocal_fast(float x)
{
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

#endif
