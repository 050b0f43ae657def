#include "kernels/cuda/library_lt.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/convert.h"

/* Tells which library runs; one that does not know a scale a row (12.9 brought it) is not used. */
static bool is_new_enough(struct device *device, const char *wanted)
{
    enum { OLDEST = 120900 };
    char text[128];
    size_t version = cublasLtGetVersion();
    snprintf(text, sizeof text, "cuBLASLt %zu.%zu.%zu%s", version / 10000, version / 100 % 100, version % 100,
             version < OLDEST ? " is older than 12.9: products are our own" : "");
    if (version < OLDEST && wanted != NULL)
        failure_keep(&device->failure, STATUS_UNAVAILABLE,
                     "MILLRACE_CUDA_MATMUL=cublaslt: cuBLASLt %zu.%zu.%zu is older than 12.9; unset it, or "
                     "install a newer one",
                     version / 10000, version / 100 % 100, version % 100);
    else
        device_tell(device, text);
    return version >= OLDEST;
}

void library_open(struct device *device)
{
    const char *wanted = getenv("MILLRACE_CUDA_MATMUL");
    if (wanted != NULL && strcmp(wanted, "own") != 0 && strcmp(wanted, "cublaslt") != 0)
        failure_keep(&device->failure, STATUS_INVALID_ARGUMENT,
                     "MILLRACE_CUDA_MATMUL=%.32s is unknown; use own or cublaslt, or unset it", wanted);
    if (device->failure.status != STATUS_OK || device->precision == PRECISION_F32 ||
        (wanted != NULL && strcmp(wanted, "own") == 0))
        return;
    if (!is_new_enough(device, wanted))
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

cublasStatus_t lt_multiply(struct device *device, const struct lt_variant *variant,
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
    TRY(lt_describe(&call, &described));
    return cublasLtMatmul(device->library->handle, &call.operation, &one, op->weight->data, &call.w,
                          product->x, &call.x, &zero, op->y, &call.y, op->y, &call.y,
                          &variant->algorithm[lt_row_class(op->rows)], product->workspace, LT_WORKSPACE_BYTES,
                          device->stream);
}

/* ---- classes of rows ---- */

static const int class_most[LT_ROW_CLASSES] = {64, 256, 1024, 4096, INT_MAX};

int lt_class_least(int row_class)
{
    return row_class == 0 ? 1 : class_most[row_class - 1] + 1;
}

int lt_class_most(int row_class)
{
    return class_most[row_class];
}

int lt_row_class(int rows)
{
    int row_class = 0;
    while (rows > class_most[row_class])
        row_class++;
    return row_class;
}

/* ---- a product of the forward pass ---- */

/* True when everything begins on 16 bytes, as it did when the algorithms were chosen. Shapes and strides
 * decide this, never the number of rows. */
static bool lies_right(const struct library_product *product)
{
    const struct matmul *op = product->op;
    size_t in = op->weight->format == WEIGHT_E4M3 ? 1 : 2, out = dtype_bytes(op->y_type);
    return ((uintptr_t)product->x | (uintptr_t)op->y | (uintptr_t)op->bias) % 16 == 0 &&
           (size_t)product->ld_x * in % 16 == 0 && (size_t)op->ld_y * out % 16 == 0;
}

/* The way to call this product; NULL: the library is not asked. */
static const struct lt_variant *variant_of(const struct matmul *op, enum epilogue *epilogue)
{
    *epilogue = EPILOGUE_NONE;
    if (op->weight->choice == NULL)
        return NULL;
    if (op->bias != NULL)
        *epilogue = op->activation == ACTIVATION_GELU_TANH ? EPILOGUE_BIAS_GELU : EPILOGUE_BIAS;
    bool wanted = op->activation == ACTIVATION_NONE || *epilogue == EPILOGUE_BIAS_GELU;
    const struct lt_variant *variant = &op->weight->choice->variant[op->y_type != DTYPE_F32][*epilogue];
    return wanted && variant->usable ? variant : NULL;
}

int library_padded_rows(const struct matmul *op)
{
    enum epilogue epilogue;
    const struct lt_variant *variant = variant_of(op, &epilogue);
    return variant != NULL && variant->least_rows > op->rows ? variant->least_rows : op->rows;
}

/* Multiplies with padding into scratch, and brings the rows that count to y. */
static cublasStatus_t multiply_padded(struct device *device, const struct lt_variant *variant,
                                      const struct library_product *product, enum epilogue epilogue)
{
    const struct matmul *op = product->op;
    struct matmul padded = *op;
    struct library_product padded_product = *product;
    size_t element = dtype_bytes(op->y_type), width = (size_t)op->weight->n_out * element;
    padded.rows = variant->least_rows;
    padded.y = (char *)product->workspace + LT_WORKSPACE_BYTES + LT_BIAS_BYTES;
    padded.ld_y = op->weight->n_out;
    padded_product.op = &padded;
    TRY(lt_multiply(device, variant, &padded_product, epilogue));
    device_check(device,
                 cudaMemcpy2DAsync(op->y, (size_t)op->ld_y * element, padded.y, width, width,
                                   (size_t)op->rows, cudaMemcpyDeviceToDevice, device->stream),
                 "copying a padded product");
    return CUBLAS_STATUS_SUCCESS;
}

/* The library was asked beforehand about many numbers of rows, but not about all. Our own product's bits may
 * differ from those of the library, so this is said; a worker that ended would only meet it again. */
static void tell_refusal(struct device *device, const struct matmul *op, cublasStatus_t status)
{
    char text[240];
    snprintf(text, sizeof text,
             "cuBLASLt refuses a product of [%d, %d] and [%d, %d] (%.40s): our own runs instead; its bits "
             "may differ from those of other batches. MILLRACE_CUDA_MATMUL=own keeps them alike",
             op->rows, op->weight->n_in, op->weight->n_out, op->weight->n_in,
             cublasLtGetStatusString(status));
    if (!device->library->has_refused)
        device_tell(device, text);
    device->library->has_refused = true;
}

bool library_run(struct device *device, const struct library_product *product)
{
    const struct matmul *op = product->op;
    enum epilogue epilogue;
    const struct lt_variant *variant = variant_of(op, &epilogue);
    if (variant == NULL || !lies_right(product))
        return false;
    cublasStatus_t status = op->rows < variant->least_rows
                                ? multiply_padded(device, variant, product, epilogue)
                                : lt_multiply(device, variant, product, epilogue);
    if (status == CUBLAS_STATUS_SUCCESS)
        return true;
    if (status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_INVALID_VALUE) {
        tell_refusal(device, op, status);
        return false;
    }
    failure_keep(&device->failure, STATUS_INTERNAL, "cuBLASLt, a product of [%d, %d] and [%d, %d]: %s",
                 op->rows, op->weight->n_in, op->weight->n_out, op->weight->n_in,
                 cublasLtGetStatusString(status));
    return true;
}
