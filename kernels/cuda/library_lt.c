#include "kernels/cuda/library_lt.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/convert.h"

void library_open(struct device *device)
{
    const char *wanted = getenv("MILLRACE_CUDA_MATMUL");
    if (wanted != NULL && strcmp(wanted, "own") != 0 && strcmp(wanted, "cublaslt") != 0)
        failure_keep(&device->failure, STATUS_INVALID_ARGUMENT,
                     "MILLRACE_CUDA_MATMUL=%.32s is unknown; use own or cublaslt, or unset it", wanted);
    if (device->failure.status != STATUS_OK || device->precision == PRECISION_F32 ||
        (wanted != NULL && strcmp(wanted, "own") == 0))
        return;
    struct product_library *library = calloc(1, sizeof *library);
    cublasStatus_t status = library != NULL ? cublasLtCreate(&library->handle) : CUBLAS_STATUS_ALLOC_FAILED;
    if (status == CUBLAS_STATUS_SUCCESS) {
        device->library = library;
        return;
    }
    free(library);
    if (wanted != NULL)
        failure_keep(&device->failure, STATUS_UNAVAILABLE, "MILLRACE_CUDA_MATMUL=cublaslt: %s; unset it",
                     cublasLtGetStatusString(status));
}

void library_close(struct device *device)
{
    struct product_library *library = device->library;
    if (library == NULL)
        return;
    while (library->choices != NULL) {
        struct library_choice *choice = library->choices;
        library->choices = choice->next;
        free(choice);
    }
    (void)cublasLtDestroy(library->handle);
    free(library);
    device->library = NULL;
}

/* Does nothing: choices belong to the library, and weights of one shape share one. */
void library_choice_free(struct library_choice *choice)
{
    (void)choice;
}

static cublasStatus_t set(struct lt_call *call, cublasLtMatmulDescAttributes_t attribute, const void *value,
                          size_t size)
{
    return cublasLtMatmulDescSetAttribute(&call->operation, attribute, value, size);
}

static cublasStatus_t set_int(struct lt_call *call, cublasLtMatmulDescAttributes_t attribute, int32_t value)
{
    return set(call, attribute, &value, sizeof value);
}

static cublasStatus_t set_pointer(struct lt_call *call, cublasLtMatmulDescAttributes_t attribute,
                                  const void *value)
{
    return set(call, attribute, &value, sizeof value);
}

#define TRY(expression)                           \
    do {                                          \
        cublasStatus_t try_status = (expression); \
        if (try_status != CUBLAS_STATUS_SUCCESS)  \
            return try_status;                    \
    } while (0)

/* y = scale of w's row * scale of x's row * sum: one scale for each row of A and each column of B, documented
 * for compute capability 9.0 since CUDA 12.9 (cublasLt.h, CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F). */
static cublasStatus_t describe_scales(struct lt_call *call, const float *w_scale, const float *x_scale)
{
    TRY(set_int(call, CUBLASLT_MATMUL_DESC_A_SCALE_MODE, CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F));
    TRY(set_int(call, CUBLASLT_MATMUL_DESC_B_SCALE_MODE, CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F));
    TRY(set_pointer(call, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, w_scale));
    TRY(set_pointer(call, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, x_scale));
    return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t describe_epilogue(struct lt_call *call, enum epilogue epilogue, const void *bias,
                                        cudaDataType_t bias_type)
{
    if (epilogue == EPILOGUE_NONE)
        return CUBLAS_STATUS_SUCCESS;
    TRY(set_int(call, CUBLASLT_MATMUL_DESC_EPILOGUE,
                epilogue == EPILOGUE_BIAS ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_GELU_BIAS));
    TRY(set_int(call, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, bias_type));
    TRY(set_pointer(call, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias));
    return CUBLAS_STATUS_SUCCESS;
}

/* With e4m3 the rows' padding takes part in the product: it holds zeros, and it gives the rows a length that
 * the library takes. */
static cublasStatus_t describe_layouts(struct lt_call *call, const struct lt_product *product)
{
    const struct weight *weight = product->weight;
    bool fp8 = weight->format == WEIGHT_E4M3;
    cudaDataType_t in = fp8 ? CUDA_R_8F_E4M3 : CUDA_R_16BF,
                   out = product->y_type == DTYPE_F32 ? CUDA_R_32F : CUDA_R_16BF;
    uint64_t n_in = fp8 ? (uint64_t)weight->ld : (uint64_t)weight->n_in, rows = (uint64_t)product->rows;
    TRY(cublasLtMatrixLayoutInit(&call->w, in, n_in, (uint64_t)weight->n_out, weight->ld));
    TRY(cublasLtMatrixLayoutInit(&call->x, in, n_in, rows, product->ld_x));
    TRY(cublasLtMatrixLayoutInit(&call->y, out, (uint64_t)weight->n_out, rows, product->ld_y));
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t lt_describe(struct lt_call *call, const struct lt_product *product)
{
    TRY(cublasLtMatmulDescInit(&call->operation, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    TRY(set_int(call, CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T));
    TRY(set_int(call, CUBLASLT_MATMUL_DESC_TRANSB, CUBLAS_OP_N));
    if (product->weight->format == WEIGHT_E4M3)
        TRY(describe_scales(call, product->weight->scale, product->x_scale));
    TRY(describe_epilogue(call, product->epilogue, product->bias, product->bias_type));
    return describe_layouts(call, product);
}

/* The bias in the type that the variant wants. */
static const void *bias_for(struct device *device, const struct lt_variant *variant,
                            const struct library_product *product)
{
    const struct matmul *op = product->op;
    if (op->bias == NULL || variant->bias_type == CUDA_R_32F)
        return op->bias;
    void *rounded = (char *)product->workspace + LT_WORKSPACE_BYTES;
    round_to_bf16(device, op->bias, op->weight->n_out, rounded);
    return rounded;
}

bool lt_multiply(struct device *device, const struct lt_variant *variant,
                 const struct library_product *product, enum epilogue epilogue)
{
    const struct matmul *op = product->op;
    const float one = 1, zero = 0;
    struct lt_call call;
    const struct lt_product described = {.weight = op->weight,
                                         .rows = op->rows,
                                         .ld_x = product->ld_x,
                                         .ld_y = op->ld_y,
                                         .y_type = op->y_type,
                                         .epilogue = epilogue,
                                         .x_scale = product->x_scale,
                                         .bias = bias_for(device, variant, product),
                                         .bias_type = variant->bias_type};
    cublasStatus_t status = lt_describe(&call, &described);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cublasLtMatmul(device->library->handle, &call.operation, &one, op->weight->data, &call.w,
                                product->x, &call.x, &zero, op->y, &call.y, op->y, &call.y,
                                &variant->algorithm, product->workspace, LT_WORKSPACE_BYTES, device->stream);
    if (status != CUBLAS_STATUS_SUCCESS)
        failure_keep(&device->failure, STATUS_INTERNAL,
                     "cuBLASLt refuses a product of [%d, %d] and [%d, %d]: %s; use MILLRACE_CUDA_MATMUL=own",
                     op->rows, op->weight->n_in, op->weight->n_out, op->weight->n_in,
                     cublasLtGetStatusString(status));
    return status == CUBLAS_STATUS_SUCCESS;
}

/* True when everything begins on 16 bytes, as it did when the algorithms were chosen. Shapes and strides
 * decide this, never the number of rows. */
static bool lies_right(const struct library_product *product)
{
    const struct matmul *op = product->op;
    size_t in = op->weight->format == WEIGHT_E4M3 ? 1 : 2, out = dtype_bytes(op->y_type);
    return ((uintptr_t)product->x | (uintptr_t)op->y | (uintptr_t)op->bias) % 16 == 0 &&
           (size_t)product->ld_x * in % 16 == 0 && (size_t)op->ld_y * out % 16 == 0;
}

bool library_run(struct device *device, const struct library_product *product)
{
    const struct matmul *op = product->op;
    enum epilogue epilogue = EPILOGUE_NONE;
    if (op->bias != NULL)
        epilogue = op->activation == ACTIVATION_GELU_TANH ? EPILOGUE_BIAS_GELU : EPILOGUE_BIAS;
    bool wanted = op->activation == ACTIVATION_NONE || epilogue == EPILOGUE_BIAS_GELU;
    const struct lt_variant *variant = &op->weight->choice->variant[op->y_type != DTYPE_F32][epilogue];
    if (!wanted || !variant->usable || !lies_right(product))
        return false;
    (void)lt_multiply(device, variant, product, epilogue);
    return true;
}
