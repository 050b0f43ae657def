#ifndef MILLRACE_KERNELS_CUDA_LIBRARY_LT_H
#define MILLRACE_KERNELS_CUDA_LIBRARY_LT_H

#include <cublasLt.h>

#include "kernels/cuda/library.h"

/*
 * cuBLASLt (library_lt.c enqueues, library_choose.c chooses). The library counts columns first: what it calls
 * D[n_out, rows] with columns ld_y apart is our y, A (transposed) is w, B is x. So D = A^T · B with a bias
 * per row of D.
 */
enum epilogue { EPILOGUE_NONE, EPILOGUE_BIAS, EPILOGUE_BIAS_GELU, N_EPILOGUES };
enum { N_OUTPUTS = 2 }; /* y as float32, as bf16 */

/* One way to call a weight's product. */
struct lt_variant {
    bool usable;
    cudaDataType_t bias_type; /* the library may want a bf16 bias for bf16 results */
    cublasLtMatmulAlgo_t algorithm;
};

/* For all weights of one shape and format. */
struct library_choice {
    struct library_choice *next;
    int n_out, n_in;
    enum weight_format format;
    bool usable; /* one of the variants is */
    struct lt_variant variant[N_OUTPUTS][N_EPILOGUES];
};

struct product_library {
    cublasLtHandle_t handle;
    struct library_choice *choices;
};

/* What describes a call to the library; on the stack, nothing is allocated. */
struct lt_call {
    cublasLtMatmulDescOpaque_t operation;
    cublasLtMatrixLayoutOpaque_t w, x, y;
};

/* A product as the library sees it. */
struct lt_product {
    const struct weight *weight;
    int rows;
    int64_t ld_x, ld_y;
    enum dtype y_type;
    enum epilogue epilogue;
    const float *x_scale; /* [rows] with an E4M3 weight */
    const void *bias;     /* of bias_type; may be NULL where only the algorithm is sought */
    cudaDataType_t bias_type;
};

/* The call for a product. */
cublasStatus_t lt_describe(struct lt_call *call, const struct lt_product *product);

/* Enqueues the product with one variant; false and a kept failure when the library refuses. */
bool lt_multiply(struct device *device, const struct lt_variant *variant,
                 const struct library_product *product, enum epilogue epilogue);

/* The workspace that is the library's own; behind it lies a bias as bf16. */
enum { LT_BIAS_BYTES = 1 << 20, LT_WORKSPACE_BYTES = LIBRARY_WORKSPACE_BYTES - LT_BIAS_BYTES };

#endif
