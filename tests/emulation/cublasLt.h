#ifndef MILLRACE_TESTS_EMULATION_CUBLASLT_H
#define MILLRACE_TESTS_EMULATION_CUBLASLT_H

#include <stddef.h>
#include <stdint.h>

#include "tests/emulation/runtime_api.h"

/*
 * Stands in for cuBLASLt: the calls that kernels/cuda/library_lt.c and library_choose.c make, with the
 * library's conventions (columns first, D = op(A) · op(B), epilogues along the rows of D, outer vector
 * scales; cuBLAS 13.0 documentation). Products are computed plainly, in double, when the stream comes to
 * them.
 *
 * What it proposes for every product, so that a choice can be seen: first an algorithm that splits the sum;
 * then one whose bits depend on how many columns D has; then one that is not the product at all; then one
 * that refuses some numbers of columns; then a right one; then one that is right but slow. Scales must begin
 * on 16 bytes. A bias of float32 with results in bf16 is not supported, as it may be in the real library.
 */
#ifdef __cplusplus
extern "C" {
#endif

typedef enum { CUDA_R_32F = 0, CUDA_R_16BF = 14, CUDA_R_8F_E4M3 = 28 } cudaDataType_t;
typedef cudaDataType_t cudaDataType;
typedef enum {
    CUBLAS_STATUS_SUCCESS = 0,
    CUBLAS_STATUS_ALLOC_FAILED = 3,
    CUBLAS_STATUS_INVALID_VALUE = 7,
    CUBLAS_STATUS_NOT_SUPPORTED = 15
} cublasStatus_t;
typedef enum { CUBLAS_COMPUTE_32F = 68 } cublasComputeType_t;
typedef enum { CUBLAS_OP_N = 0, CUBLAS_OP_T = 1 } cublasOperation_t;
typedef enum {
    CUBLASLT_EPILOGUE_DEFAULT = 1,
    CUBLASLT_EPILOGUE_BIAS = 4,
    CUBLASLT_EPILOGUE_GELU_BIAS = 36
} cublasLtEpilogue_t;
typedef enum {
    CUBLASLT_MATMUL_MATRIX_SCALE_SCALAR_32F = 0,
    CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F = 3
} cublasLtMatmulMatrixScale_t;
typedef enum { CUBLASLT_REDUCTION_SCHEME_NONE = 0 } cublasLtReductionScheme_t;
typedef enum {
    CUBLASLT_ALGO_CONFIG_SPLITK_NUM = 2,
    CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME = 3
} cublasLtMatmulAlgoConfigAttributes_t;
typedef enum {
    CUBLASLT_MATMUL_DESC_TRANSA = 3,
    CUBLASLT_MATMUL_DESC_TRANSB = 4,
    CUBLASLT_MATMUL_DESC_EPILOGUE = 7,
    CUBLASLT_MATMUL_DESC_BIAS_POINTER = 8,
    CUBLASLT_MATMUL_DESC_A_SCALE_POINTER = 17,
    CUBLASLT_MATMUL_DESC_B_SCALE_POINTER = 18,
    CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE = 26,
    CUBLASLT_MATMUL_DESC_A_SCALE_MODE = 31,
    CUBLASLT_MATMUL_DESC_B_SCALE_MODE = 32
} cublasLtMatmulDescAttributes_t;
typedef enum {
    CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES = 1,
    CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK = 3,
    CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES = 5,
    CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES = 6,
    CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES = 7,
    CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES = 8
} cublasLtMatmulPreferenceAttributes_t;

typedef struct emulation_cublaslt *cublasLtHandle_t;
typedef struct {
    int32_t transposed[2], epilogue, bias_type, scale_mode[2];
    const void *bias;
    const float *scale[2]; /* of A and B */
} cublasLtMatmulDescOpaque_t;
typedef struct {
    cudaDataType_t type;
    uint64_t rows, columns;
    int64_t ld;
} cublasLtMatrixLayoutOpaque_t;
typedef struct {
    uint64_t unused;
} cublasLtMatmulPreferenceOpaque_t;
typedef struct {
    int32_t number;
} cublasLtMatmulAlgo_t;
typedef struct {
    cublasLtMatmulAlgo_t algo;
    size_t workspaceSize;
    cublasStatus_t state;
} cublasLtMatmulHeuristicResult_t;

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle);
size_t cublasLtGetVersion(void); /* MILLRACE_EMULATED_CUBLASLT, or 130100 */
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle);
const char *cublasLtGetStatusString(cublasStatus_t status);
cublasStatus_t cublasLtMatmulDescInit(cublasLtMatmulDescOpaque_t *operation, cublasComputeType_t compute,
                                      cudaDataType_t scale);
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDescOpaque_t *operation,
                                              cublasLtMatmulDescAttributes_t attribute, const void *value,
                                              size_t size);
cublasStatus_t cublasLtMatrixLayoutInit(cublasLtMatrixLayoutOpaque_t *layout, cudaDataType type,
                                        uint64_t rows, uint64_t columns, int64_t ld);
cublasStatus_t cublasLtMatmulPreferenceInit(cublasLtMatmulPreferenceOpaque_t *preference);
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreferenceOpaque_t *preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void *value, size_t size);
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDescOpaque_t *operation,
                                              cublasLtMatrixLayoutOpaque_t *a,
                                              cublasLtMatrixLayoutOpaque_t *b,
                                              cublasLtMatrixLayoutOpaque_t *c,
                                              cublasLtMatrixLayoutOpaque_t *d,
                                              cublasLtMatmulPreferenceOpaque_t *preference, int wanted,
                                              cublasLtMatmulHeuristicResult_t *results, int *n_results);
cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t handle, cublasLtMatmulDescOpaque_t *operation,
                                       cublasLtMatrixLayoutOpaque_t *a, cublasLtMatrixLayoutOpaque_t *b,
                                       cublasLtMatrixLayoutOpaque_t *c, cublasLtMatrixLayoutOpaque_t *d,
                                       const cublasLtMatmulAlgo_t *algorithm,
                                       cublasLtMatmulHeuristicResult_t *result);
cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t *algorithm,
                                                    cublasLtMatmulAlgoConfigAttributes_t attribute,
                                                    void *value, size_t size, size_t *written);
cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDescOpaque_t *operation,
                              const void *alpha, const void *a, cublasLtMatrixLayoutOpaque_t *a_layout,
                              const void *b, cublasLtMatrixLayoutOpaque_t *b_layout, const void *beta,
                              const void *c, cublasLtMatrixLayoutOpaque_t *c_layout, void *d,
                              cublasLtMatrixLayoutOpaque_t *d_layout, const cublasLtMatmulAlgo_t *algorithm,
                              void *workspace, size_t workspace_bytes, cudaStream_t stream);

/* From now on products of e4m3 with fewer rows are refused when they are asked for, and products of
 * `when_it_runs` rows only when they run (0: none). */
__attribute__((visibility("default"))) void emulation_cublaslt_refuse(uint64_t fp8_below,
                                                                      uint64_t when_it_runs);

/* Products that ran with the algorithm of this place in the proposals. */
__attribute__((visibility("default"))) uint64_t emulation_cublaslt_products(int algorithm);

#ifdef __cplusplus
}
#endif

#endif
