#ifndef MILLRACE_TESTS_EMULATION_KERNELS_CUDA_GPU_CUH
#define MILLRACE_TESTS_EMULATION_KERNELS_CUDA_GPU_CUH

#include <cuda_runtime.h>
#include <stdint.h>
#include <tuple>

#include "tests/emulation/copy.h"
#include "tests/emulation/launch.h"

/* The twins of the functions in kernels/cuda/gpu.cuh, which says what they do. This file is found in its
 * place because tests/emulation comes first in the include path. */

template <typename... P, typename... A>
cudaError_t launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream,
                   A... arguments)
{
    std::tuple<P...> values(arguments...);
    return emulation::enqueue_launch(
        {grid, block, shared_bytes, [=] { std::apply(kernel, values); }, (const void *)kernel}, stream);
}

inline unsigned char *shared_memory()
{
    return emulation::shared_begin();
}

inline void mma_bf16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2])
{
    emulation::product_operands operands = {c, a, b};
    emulation::warp_call(emulation::multiply_bf16, 0xffffffffu, &operands);
}

inline void load_matrix_x4(uint32_t (&to)[4], const void *row)
{
    emulation::matrix_load operands = {row, to, false};
    emulation::warp_call(emulation::load_matrices, 0xffffffffu, &operands);
}

inline void load_matrix_x4_transposed(uint32_t (&to)[4], const void *row)
{
    emulation::matrix_load operands = {row, to, true};
    emulation::warp_call(emulation::load_matrices, 0xffffffffu, &operands);
}

inline void copy_async_16(void *shared, const void *global, int size_bytes = 16)
{
    emulation::copy_begin(shared, global, size_bytes);
}

inline void copy_async_commit()
{
    emulation::copy_commit();
}

template <int groups_left> void copy_async_wait()
{
    emulation::copy_wait(groups_left);
}

inline float exp2_fast(float x)
{
    return exp2f(x);
}

inline float tanh_fast(float x)
{
    return tanhf(x);
}

inline float reciprocal_fast(float x)
{
    return 1 / x;
}

#endif
