#ifndef MILLRACE_KERNELS_CUDA_MATMUL_H
#define MILLRACE_KERNELS_CUDA_MATMUL_H

#include "kernels/cuda/device.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Our own products: y[rows, n_out] = activation(x · w^T + bias). In all of them row i of y depends on row i
 * of x alone: every element is one sum over k in an order that n_out and n_in decide. n_leaves plays no part.
 */

/* Columns of a tile of matmul_tensor: wide tiles read less, narrow ones leave no multiprocessor idle when
 * there are few. */
int matmul_tile_columns(int n_out, int n_in);

/* x as matmul_tensor reads it. */
struct tile_product {
    const struct matmul *op;
    const void *x; /* bf16 [rows, ld_x] with a bf16 weight; with an E4M3 weight q of quantise_rows */
    int64_t ld_x;
    const float *x_scale; /* [rows] with an E4M3 weight, else NULL */
};

/* Tensor cores: mma.sync on tiles of 64 or 128 rows, bf16 products summed in float32 in steps of 16 k
 * (matmul_tensor.cu). */
void matmul_tensor(struct device *device, const struct tile_product *product);
/* float32 x and weight, fused multiply-adds in the order of k (matmul_f32.cu). */
void matmul_f32(struct device *device, const struct matmul *op);
/* A few float32 rows and a float32 or bf16 weight. One warp makes one element of y, so the weight is read
 * once for each row, as fast as memory gives it (matmul_few.cu). */
void matmul_few(struct device *device, const struct matmul *op);

#ifdef __cplusplus
}
#endif

#endif
