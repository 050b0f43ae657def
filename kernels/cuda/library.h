#ifndef MILLRACE_KERNELS_CUDA_LIBRARY_H
#define MILLRACE_KERNELS_CUDA_LIBRARY_H

#include "kernels/cuda/device.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Products by the vendor's library: cuBLASLt (library_lt.h), or no library (library_none.c, for a build that
 * uses only our own products).
 *
 * MILLRACE_CUDA_MATMUL=own|cublaslt says which products run. When it is unset, cublaslt runs where it is
 * there and passes the check below.
 *
 * Batch invariance. A weight's algorithms, one for each class of rows, are chosen once, when the weight is
 * made, from what the library proposes without a split of the sum. The library promises equal bits for equal
 * calls only, not for equal rows of calls of different sizes; so a candidate is taken only after it gave, on
 * this GPU, the same bits for a row among many and among few. No timing decides: replicas on equal GPUs
 * choose alike. The choice is told in one line a shape (device_options.told).
 */
struct product_library;
struct library_choice;

/* Sets device->library, or leaves it NULL. Keeps a failure only where the library was asked for by name. */
void library_open(struct device *device);
void library_close(struct device *device);

/* Chooses the algorithm for a weight of WEIGHT_PRODUCT; NULL where the own product is to run. Start-up only.
 */
struct library_choice *library_choose(struct device *device, const struct weight *weight);
void library_choice_free(struct library_choice *choice);

/* What is multiplied. x is as it lies in memory: bf16 [rows, ld_x], or e4m3 with one scale for each row. All
 * else is as in struct matmul. */
struct library_product {
    const struct matmul *op;
    const void *x;
    int64_t ld_x;
    const float *x_scale; /* [rows] with an e4m3 weight, else NULL */
    void *workspace;      /* LIBRARY_WORKSPACE_BYTES */
};
enum { LIBRARY_WORKSPACE_BYTES = 42 << 20 };

/* How many rows of x must be there for the product of op->rows rows: more where the library pads them. What
 * they hold does not matter. */
int library_padded_rows(const struct matmul *op);

/* Enqueues the product. Returns false, and enqueues nothing, where the library cannot take this call
 * (alignment, activation), or refuses it. */
bool library_run(struct device *device, const struct library_product *product);

#ifdef __cplusplus
}
#endif

#endif
