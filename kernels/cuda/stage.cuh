#ifndef MILLRACE_KERNELS_CUDA_STAGE_CUH
#define MILLRACE_KERNELS_CUDA_STAGE_CUH

#include <stdint.h>

#include "kernels/cuda/gpu.cuh"

/*
 * One step of a product on the tensor cores: it multiplies DEPTH columns of some rows of x and of w in shared
 * memory. The layers' products (matmul_tensor.cu) and the head's tiles (head_tile.cuh) both consist of such
 * steps.
 *
 * A stage holds the rows of x, then those of w. A row is DEPTH bf16 = 64 bytes = 4 chunks of 16. Chunk c of
 * row r lies at place c ^ (r / 2 % 4): the 8 rows that ldmatrix reads at once then lie in 8 different groups
 * of 4 banks, and so do the chunks that are written.
 */
namespace stage
{
enum { DEPTH = 32, CHUNKS = DEPTH / 8, LANES = 32 };

__device__ inline unsigned char *chunk_at(unsigned char *tile, int row, int chunk)
{
    return tile + row * (DEPTH * 2) + (chunk ^ (row / 2 % CHUNKS)) * 16;
}

/* sum += this warp's part of a step: Shape::M x Shape::N tiles of 16 x 8, one mma.sync for 16 k each.
 * Shape::ROWS: of x. */
template <class Shape>
__device__ inline void multiply_step(unsigned char *stage, int warp_row, int warp_column,
                                     float (&sum)[Shape::M][Shape::N][4])
{
    int lane = threadIdx.x % LANES;
    unsigned char *w_tile = stage + Shape::ROWS * DEPTH * 2;
#pragma unroll
    for (int k16 = 0; k16 < DEPTH / 16; k16++) {
        uint32_t x[Shape::M][4], w[Shape::N / 2][4];
#pragma unroll
        for (int m = 0; m < Shape::M; m++)
            load_matrix_x4(x[m], chunk_at(stage, warp_row + m * 16 + lane % 16, k16 * 2 + lane / 16));
#pragma unroll
        for (int n = 0; n < Shape::N / 2; n++)
            load_matrix_x4(w[n], chunk_at(w_tile, warp_column + n * 16 + lane / 16 * 8 + lane % 8,
                                          k16 * 2 + lane / 8 % 2));
#pragma unroll
        for (int m = 0; m < Shape::M; m++)
#pragma unroll
            for (int n = 0; n < Shape::N; n++) {
                const uint32_t columns[2] = {w[n / 2][n % 2 * 2], w[n / 2][n % 2 * 2 + 1]};
                mma_bf16(sum[m][n], x[m], columns);
            }
    }
}
} // namespace stage

#endif
