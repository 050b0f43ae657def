#include "kernels/cuda/activation.cuh"
#include "kernels/cuda/matmul.h"
#include "kernels/cuda/gpu.cuh"

/*
 * Products in float32, for comparing with the reference. A block has 64 x 64 elements of y, and a thread has
 * 4 x 4 of them. The block brings 16 values of k at a time into shared memory. An element is one chain of
 * fused multiply-adds from 0 in the order of k.
 */
enum { TILE = 64, DEPTH = 16, EACH = 4, SIDE = TILE / EACH, THREADS = SIDE * SIDE };

/* Loads TILE rows x DEPTH columns, transposed, with zeros outside the matrix. */
__device__ inline void load_tile(float (&to)[DEPTH][TILE + 1], const float *matrix, int64_t ld, int first,
                                 int n_rows, int k, int n)
{
    for (int i = threadIdx.x; i < TILE * DEPTH; i += THREADS) {
        int row = i / DEPTH, column = i % DEPTH;
        bool there = first + row < n_rows && k + column < n;
        to[column][row] = there ? matrix[(first + row) * ld + k + column] : 0.0f;
    }
}

__global__ void __launch_bounds__(THREADS)
    product_f32(struct matmul op, const float *w, int64_t ld_w, int n_out, int n_in)
{
    __shared__ float x_tile[DEPTH][TILE + 1], w_tile[DEPTH][TILE + 1];
    int first_row = blockIdx.x * TILE, first_column = blockIdx.y * TILE;
    int row = threadIdx.x / SIDE * EACH, column = threadIdx.x % SIDE * EACH;
    float sum[EACH][EACH] = {};
    for (int k = 0; k < n_in; k += DEPTH) {
        __syncthreads();
        load_tile(x_tile, (const float *)op.x, op.ld_x, first_row, op.rows, k, n_in);
        load_tile(w_tile, w, ld_w, first_column, n_out, k, n_in);
        __syncthreads();
        for (int j = 0; j < DEPTH; j++)
            for (int r = 0; r < EACH; r++)
                for (int c = 0; c < EACH; c++)
                    sum[r][c] = fmaf(x_tile[j][row + r], w_tile[j][column + c], sum[r][c]);
    }
    for (int r = 0; r < EACH; r++)
        for (int c = 0; c < EACH; c++) {
            int at_row = first_row + row + r, at_column = first_column + column + c;
            if (at_row < op.rows && at_column < n_out)
                ((float *)op.y)[at_row * op.ld_y + at_column] =
                    activate_exact(op.activation, sum[r][c] + (op.bias != NULL ? op.bias[at_column] : 0.0f));
        }
}

extern "C" void matmul_f32(struct device *device, const struct matmul *op)
{
    const struct weight *weight = op->weight;
    dim3 grid(divide_up(op->rows, TILE), divide_up(weight->n_out, TILE)), block(THREADS);
    device_check(device,
                 launch(product_f32, grid, block, 0, device->stream, *op, (const float *)weight->data,
                        weight->ld, weight->n_out, weight->n_in),
                 "matmul");
}
