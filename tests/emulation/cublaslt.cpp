#include "tests/emulation/cublasLt.h"

#include <deque>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    SPLITS = 0,
    DEPENDS_ON_COLUMNS,
    WRONG,
    REFUSES,
    RIGHT,
    ALSO_RIGHT,
    OTHER_BITS,
    FOR_A_FEW,
    N_ALGORITHMS
};

/* Best first: for many rows, and for few, where one adds in another order and one takes few rows only. */
static const int for_many[] = {SPLITS, DEPENDS_ON_COLUMNS, WRONG, REFUSES, RIGHT, ALSO_RIGHT};
static const int for_few[] = {SPLITS, OTHER_BITS, FOR_A_FEW, RIGHT};
enum { FEW = 64 };

static uint64_t n_products[N_ALGORITHMS];
static uint64_t refused_below, refused_at;

extern "C" void emulation_cublaslt_refuse(uint64_t fp8_below, uint64_t when_it_runs)
{
    refused_below = fp8_below, refused_at = when_it_runs;
}

extern "C" uint64_t emulation_cublaslt_products(int algorithm)
{
    return n_products[algorithm];
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle)
{
    *handle = nullptr;
    return CUBLAS_STATUS_SUCCESS;
}

size_t cublasLtGetVersion(void)
{
    const char *wanted = getenv("MILLRACE_EMULATED_CUBLASLT");
    return wanted != nullptr ? strtoul(wanted, nullptr, 10) : 130100;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t)
{
    return CUBLAS_STATUS_SUCCESS;
}

const char *cublasLtGetStatusString(cublasStatus_t status)
{
    return status == CUBLAS_STATUS_NOT_SUPPORTED ? "CUBLAS_STATUS_NOT_SUPPORTED"
                                                 : "CUBLAS_STATUS_INVALID_VALUE";
}

cublasStatus_t cublasLtMatmulDescInit(cublasLtMatmulDescOpaque_t *operation, cublasComputeType_t,
                                      cudaDataType_t)
{
    *operation = {};
    operation->epilogue = CUBLASLT_EPILOGUE_DEFAULT;
    operation->bias_type = -1;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDescOpaque_t *o,
                                              cublasLtMatmulDescAttributes_t attribute, const void *value,
                                              size_t size)
{
    const struct {
        cublasLtMatmulDescAttributes_t attribute;
        void *at;
        size_t size;
    } known[] = {
        {CUBLASLT_MATMUL_DESC_TRANSA, &o->transposed[0], 4},
        {CUBLASLT_MATMUL_DESC_TRANSB, &o->transposed[1], 4},
        {CUBLASLT_MATMUL_DESC_EPILOGUE, &o->epilogue, 4},
        {CUBLASLT_MATMUL_DESC_BIAS_POINTER, &o->bias, 8},
        {CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &o->bias_type, 4},
        {CUBLASLT_MATMUL_DESC_A_SCALE_MODE, &o->scale_mode[0], 4},
        {CUBLASLT_MATMUL_DESC_B_SCALE_MODE, &o->scale_mode[1], 4},
        {CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, &o->scale[0], 8},
        {CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, &o->scale[1], 8},
    };
    for (auto &entry : known)
        if (entry.attribute == attribute && entry.size == size) {
            memcpy(entry.at, value, size);
            return CUBLAS_STATUS_SUCCESS;
        }
    return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatrixLayoutInit(cublasLtMatrixLayoutOpaque_t *layout, cudaDataType type,
                                        uint64_t rows, uint64_t columns, int64_t ld)
{
    *layout = {type, rows, columns, ld};
    return ld >= (int64_t)rows ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulPreferenceInit(cublasLtMatmulPreferenceOpaque_t *preference)
{
    *preference = {};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreferenceOpaque_t *,
                                                    cublasLtMatmulPreferenceAttributes_t, const void *,
                                                    size_t)
{
    return CUBLAS_STATUS_SUCCESS;
}

/* What the documentation lists, as far as it is used here: A transposed, B not; K alike; e4m3 with outer
 * vectors. */
static bool supported(const cublasLtMatmulDescOpaque_t *o, const cublasLtMatrixLayoutOpaque_t *a,
                      const cublasLtMatrixLayoutOpaque_t *b, const cublasLtMatrixLayoutOpaque_t *d)
{
    bool fp8 = a->type == CUDA_R_8F_E4M3, bias = o->epilogue != CUBLASLT_EPILOGUE_DEFAULT;
    if (o->transposed[0] != CUBLAS_OP_T || o->transposed[1] != CUBLAS_OP_N || a->type != b->type ||
        a->rows != b->rows || a->columns != d->rows || b->columns != d->columns)
        return false;
    for (int i = 0; i < 2; i++)
        if (fp8 && (o->scale_mode[i] != CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F || o->scale[i] == nullptr))
            return false;
    if (fp8 && ((uintptr_t)o->scale[0] % 16 != 0 || (uintptr_t)o->scale[1] % 16 != 0))
        return false;
    if (fp8 && (a->rows % 16 != 0 || d->rows % 16 != 0))
        return false;
    return !bias || o->bias_type == d->type;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDescOpaque_t *operation,
                                              cublasLtMatrixLayoutOpaque_t *a,
                                              cublasLtMatrixLayoutOpaque_t *b, cublasLtMatrixLayoutOpaque_t *,
                                              cublasLtMatrixLayoutOpaque_t *d,
                                              cublasLtMatmulPreferenceOpaque_t *, int wanted,
                                              cublasLtMatmulHeuristicResult_t *results, int *n_results)
{
    *n_results = 0;
    if (!supported(operation, a, b, d))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    bool few = d->columns <= FEW;
    int n = few ? (int)(sizeof for_few / sizeof *for_few) : (int)(sizeof for_many / sizeof *for_many);
    for (; *n_results < n && *n_results < wanted; ++*n_results)
        results[*n_results] = {{(few ? for_few : for_many)[*n_results]}, 0, CUBLAS_STATUS_SUCCESS};
    return CUBLAS_STATUS_SUCCESS;
}

/* Some do not take D of some numbers of columns, and e4m3 may want more of them. */
static bool takes(const cublasLtMatmulAlgo_t *algorithm, const cublasLtMatrixLayoutOpaque_t *a,
                  const cublasLtMatrixLayoutOpaque_t *d)
{
    if (a->type == CUDA_R_8F_E4M3 && d->columns < refused_below)
        return false;
    return algorithm->number == REFUSES     ? d->columns != 31 && d->columns != 67
           : algorithm->number == FOR_A_FEW ? d->columns <= FEW
                                            : true;
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t, cublasLtMatmulDescOpaque_t *operation,
                                       cublasLtMatrixLayoutOpaque_t *a, cublasLtMatrixLayoutOpaque_t *b,
                                       cublasLtMatrixLayoutOpaque_t *, cublasLtMatrixLayoutOpaque_t *d,
                                       const cublasLtMatmulAlgo_t *algorithm,
                                       cublasLtMatmulHeuristicResult_t *result)
{
    if (!supported(operation, a, b, d) || !takes(algorithm, a, d))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    *result = {*algorithm, 0, CUBLAS_STATUS_SUCCESS};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t *algorithm,
                                                    cublasLtMatmulAlgoConfigAttributes_t attribute,
                                                    void *value, size_t size, size_t *written)
{
    int32_t parts = algorithm->number == SPLITS ? 4 : 1, scheme = algorithm->number == SPLITS;
    memcpy(value, attribute == CUBLASLT_ALGO_CONFIG_SPLITK_NUM ? &parts : &scheme, size);
    *written = size;
    return CUBLAS_STATUS_SUCCESS;
}

/* A product that waits in the stream. */
struct product {
    cublasLtMatmulDescOpaque_t operation;
    cublasLtMatrixLayoutOpaque_t a, b, d;
    const void *a_data, *b_data;
    void *d_data;
    int algorithm;
};

static float value_at(const void *data, cudaDataType_t type, size_t i)
{
    if (type == CUDA_R_32F)
        return ((const float *)data)[i];
    if (type == CUDA_R_16BF) {
        uint32_t bits = (uint32_t)((const uint16_t *)data)[i] << 16;
        float value;
        memcpy(&value, &bits, 4);
        return value;
    }
    unsigned e4m3 = ((const unsigned char *)data)[i], exponent = e4m3 >> 3 & 15, fraction = e4m3 & 7;
    float size =
        exponent == 0 ? ldexpf((float)fraction, -9) : ldexpf((float)(8 + fraction), (int)exponent - 10);
    return (e4m3 & 0x7F) == 0x7F ? NAN : e4m3 & 0x80 ? -size : size;
}

static void put(void *data, cudaDataType_t type, size_t i, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    if (type == CUDA_R_32F)
        ((float *)data)[i] = value;
    else
        ((uint16_t *)data)[i] = isnan(value) ? 0x7FFF : (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

static float finished(const struct product &p, double sum, uint64_t row, uint64_t column)
{
    const cublasLtMatmulDescOpaque_t &o = p.operation;
    if (p.a.type == CUDA_R_8F_E4M3)
        sum *= (double)o.scale[0][row] * o.scale[1][column];
    if (o.epilogue != CUBLASLT_EPILOGUE_DEFAULT)
        sum += value_at(o.bias, (cudaDataType_t)o.bias_type, row);
    if (o.epilogue == CUBLASLT_EPILOGUE_GELU_BIAS)
        sum = 0.5 * sum * (1 + tanh(0.7978845608028654 * (sum + 0.044715 * sum * sum * sum)));
    if (p.algorithm == DEPENDS_ON_COLUMNS && p.d.columns % 2 == 1)
        sum *= 1.02;
    if (p.algorithm == OTHER_BITS)
        sum *= 1 + 0x1p-7; /* also seen in bf16 */
    return (float)(p.algorithm == WRONG ? sum + 0.1 : sum);
}

static void compute(void *context)
{
    struct product *p = (struct product *)context;
    for (uint64_t column = 0; column < p->d.columns; column++)
        for (uint64_t row = 0; row < p->d.rows; row++) {
            double sum = 0;
            for (uint64_t k = 0; k < p->a.rows; k++)
                sum += (double)value_at(p->a_data, p->a.type, row * (size_t)p->a.ld + k) *
                       value_at(p->b_data, p->b.type, column * (size_t)p->b.ld + k);
            put(p->d_data, p->d.type, column * (size_t)p->d.ld + row, finished(*p, sum, row, column));
        }
    n_products[p->algorithm]++;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDescOpaque_t *operation, const void *,
                              const void *a, cublasLtMatrixLayoutOpaque_t *a_layout, const void *b,
                              cublasLtMatrixLayoutOpaque_t *b_layout, const void *, const void *,
                              cublasLtMatrixLayoutOpaque_t *, void *d, cublasLtMatrixLayoutOpaque_t *d_layout,
                              const cublasLtMatmulAlgo_t *algorithm, void *, size_t, cudaStream_t stream)
{
    if (!supported(operation, a_layout, b_layout, d_layout) || !takes(algorithm, a_layout, d_layout) ||
        d_layout->columns == refused_at)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    static std::deque<product> enqueued; /* kept: a graph may play it again */
    enqueued.push_back({*operation, *a_layout, *b_layout, *d_layout, a, b, d, algorithm->number});
    return cudaLaunchHostFunc(stream, compute, &enqueued.back()) == cudaSuccess ? CUBLAS_STATUS_SUCCESS
                                                                                : CUBLAS_STATUS_INVALID_VALUE;
}
