#ifndef MILLRACE_KERNELS_CUDA_LIBRARY_LT_H
#define MILLRACE_KERNELS_CUDA_LIBRARY_LT_H

#include <cublasLt.h>

#include "kernels/cuda/library.h"

/*
 * cuBLASLt (library_lt.c enqueues, library_choose.c chooses). The library counts columns first: what it calls
 * D[n_out, rows] with columns ld_y apart is our y, A (transposed) is w, B is x. So D = A^T · B with a bias
 * per row of D.
 *
 * Classes of rows: up to 64, 256, 1,024, 4,096 and more. Each has an algorithm of its own; all give a row the
 * same bits (library_choose.c).
 */
enum epilogue { EPILOGUE_NONE, EPILOGUE_BIAS, EPILOGUE_BIAS_GELU, N_EPILOGUES };
enum { N_OUTPUTS = 2 }; /* y as float32, as bf16 */
enum { LT_ROW_CLASSES = 5 };

/* The least and the most rows of a class; the last has no upper end. */
int lt_class_least(int row_class);
int lt_class_most(int row_class);
int lt_row_class(int rows);

/* One way to call a weight's product. */
struct lt_variant {
    bool usable;
    cudaDataType_t bias_type; /* the library may want a bf16 bias for bf16 results */
    int least_rows;           /* fewer are padded to so many; above 1 only with e4m3 */
    cublasLtMatmulAlgo_t algorithm[LT_ROW_CLASSES];
    int place[LT_ROW_CLASSES]; /* among the proposals for that class */
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
    bool has_refused; /* a call that it should have taken; said once */
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

/* Enqueues the product with one variant. When the library refuses, nothing is enqueued but perhaps a bias. */
cublasStatus_t lt_multiply(struct device *device, const struct lt_variant *variant,
                           const struct library_product *product, enum epilogue epilogue);

/* The workspace that is the library's own. Behind it lie a bias as bf16, and results with their padding. */
enum { LT_PADDED_ROWS_MAX = 257 };
enum {
    LT_BIAS_BYTES = 1 << 20,
    LT_PADDED_BYTES = 10 << 20,
    LT_WORKSPACE_BYTES = LIBRARY_WORKSPACE_BYTES - LT_BIAS_BYTES - LT_PADDED_BYTES
};

#endif
