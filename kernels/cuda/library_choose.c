#include "kernels/cuda/library_lt.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/convert.h"
#include "kernels/cuda/matmul.h"

/*
 * Chooses the algorithm. The library proposes algorithms for a product of many rows, best first. We skip
 * those that split the sum, and take the first that passes the trial. The trial multiplies made-up rows by
 * the weight itself and checks
 *   - that a row has the same bits among many rows, among a few and alone (batch invariance);
 *   - that the results are our own product's, within the rounding of the sums (how_close). A GELU may be off
 *     by 1e-3: an approximate tanh is, and bf16 hardly shows it.
 *
 * Before the trial we ask the library whether the algorithm takes any number of rows: it was proposed for one
 * number only, and a refusal in the middle of the work would end the worker. A weight for which no algorithm
 * passes runs our own product. Weights of one shape share one choice: a trial costs milliseconds, once.
 */
enum { CANDIDATES = 8, TRIAL_BYTES = 32 << 20, TRIAL_ROWS = 2304 };
enum {
    ALIGNED_ROWS = 4
}; /* scales of so many rows are 16 bytes, on which the library wants its pointers to begin */

struct trial {
    struct device *device;
    const struct weight *weight;
    int rows;
    void *x, *q, *y, *own; /* on the device: x [rows, ld] bf16, the same as e4m3, y twice [rows, n_out] */
    float *scale, *bias;
    char *here, *there; /* on the host: room for x or for y */
};

static void trial_release(struct trial *trial)
{
    void *const owned[] = {trial->x, trial->q, trial->y, trial->own, trial->scale, trial->bias};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++)
        device_release(trial->device, owned[i]);
    free(trial->here);
    free(trial->there);
}

/* Copies on the device's own stream, after the work that cleared the memory. */
static void put(struct trial *trial, void *to, const void *from, size_t size_bytes)
{
    struct device *device = trial->device;
    if (device_check(device, cudaMemcpyAsync(to, from, size_bytes, cudaMemcpyHostToDevice, device->stream),
                     "trying products"))
        device_check(device, cudaStreamSynchronize(device->stream), "trying products");
}

/* Makes random bf16 numbers of size about 1 and a bias, from a fixed seed. */
static void fill(struct trial *trial, size_t n_x)
{
    uint32_t state = 12345;
    uint16_t *words = (uint16_t *)(void *)trial->here;
    float *floats = (float *)(void *)trial->there;
    for (size_t i = 0; i < n_x; i++) {
        state = state * 1664525u + 1013904223u;
        words[i] = (uint16_t)((state >> 31) << 15 | (0x3F00 + (state >> 20 & 0xFF)));
    }
    put(trial, trial->x, words, n_x * sizeof *words);
    for (int i = 0; i < trial->weight->n_out; i++)
        floats[i] = 0.25f * (float)(i % 7) - 0.75f; /* the same number in bf16 */
    put(trial, trial->bias, floats, (size_t)trial->weight->n_out * sizeof *floats);
}

static void trial_init(struct trial *trial, struct device *device, const struct weight *weight)
{
    size_t row_bytes = (size_t)weight->n_out * sizeof(float);
    size_t most = TRIAL_BYTES / row_bytes;
    *trial = (struct trial){.device = device, .weight = weight, .rows = TRIAL_ROWS};
    trial->rows = most < TRIAL_ROWS ? (int)most : TRIAL_ROWS;
    trial->rows = trial->rows < device->max_rows ? trial->rows : device->max_rows;
    size_t rows = (size_t)trial->rows, ld = (size_t)weight->ld;
    trial->x = device_allocate(device, rows * ld * 2);
    trial->q = device_allocate(device, rows * ld);
    trial->scale = device_allocate(device, rows * sizeof(float));
    trial->bias = device_allocate(device, row_bytes);
    trial->y = device_allocate(device, rows * row_bytes);
    trial->own = device_allocate(device, rows * row_bytes);
    size_t host_bytes = rows * (row_bytes > 2 * ld ? row_bytes : 2 * ld);
    trial->here = malloc(host_bytes);
    trial->there = malloc(host_bytes);
    if (trial->here == NULL || trial->there == NULL)
        failure_keep(&device->failure, STATUS_RESOURCE_EXHAUSTED, "no memory to try products");
    if (device->failure.status != STATUS_OK)
        return;
    fill(trial, rows * ld);
    if (weight->format == WEIGHT_E4M3 && device->failure.status == STATUS_OK)
        quantise_rows(device, trial->x, weight->ld, trial->rows, weight->n_in, trial->q, weight->ld,
                      trial->scale);
}

/* A product of the trial's rows, from `first` on, into y. */
struct trial_call {
    struct matmul op;
    struct library_product product;
};

static void trial_call_init(struct trial_call *call, const struct trial *trial, int first, int rows,
                            enum dtype y_type, enum epilogue epilogue, void *y)
{
    const struct weight *weight = trial->weight;
    bool fp8 = weight->format == WEIGHT_E4M3;
    size_t at = (size_t)first * (size_t)weight->ld;
    call->op =
        (struct matmul){.x_type = DTYPE_BF16,
                        .rows = rows,
                        .weight = weight,
                        .bias = epilogue == EPILOGUE_NONE ? NULL : trial->bias,
                        .activation = epilogue == EPILOGUE_BIAS_GELU ? ACTIVATION_GELU_TANH : ACTIVATION_NONE,
                        .y = y,
                        .y_type = y_type,
                        .ld_y = weight->n_out};
    call->product = (struct library_product){.op = &call->op,
                                             .x = fp8 ? (char *)trial->q + at : (char *)trial->x + 2 * at,
                                             .ld_x = weight->ld,
                                             .x_scale = fp8 ? trial->scale + first : NULL,
                                             .workspace = trial->device->scratch};
}

static bool fetch(struct trial *trial, const void *from, size_t size_bytes, char *to)
{
    struct device *device = trial->device;
    return device_check(device, cudaMemcpyAsync(to, from, size_bytes, cudaMemcpyDeviceToHost, device->stream),
                        "trying products") &&
           device_check(device, cudaStreamSynchronize(device->stream), "trying products");
}

static float element(const char *y, size_t i, enum dtype type)
{
    float value;
    dtype_to_float(type, y + i * dtype_bytes(type), 1, &value);
    return value;
}

/* How far two right results may be apart. Sums that cancel keep the error of their terms, so what counts
 * beside the result itself is the typical one. bf16: both sum in float32, tensor cores by cutting off. e4m3:
 * Hopper's tensor cores keep some 14 bits of a sum until it is promoted (DeepSeek-V3, arXiv
 * 2412.19437, 3.3.2), and ours keeps 24. */
struct closeness {
    double relative, absolute;
};

static struct closeness how_close(const struct trial *trial, enum dtype y_type, enum epilogue epilogue)
{
    size_t n = (size_t)trial->rows * (size_t)trial->weight->n_out;
    double squares = 0;
    for (size_t i = 0; i < n; i++) {
        double y = element(trial->there, i, y_type);
        squares += y * y;
    }
    double typical = sqrt(squares / (double)n),
           part = trial->weight->format == WEIGHT_E4M3 ? 0x1p-8 : 0x1p-12;
    return (struct closeness){.relative = y_type == DTYPE_F32 ? 1e-4 : 0x1p-7,
                              .absolute = part * typical + (epilogue == EPILOGUE_BIAS_GELU ? 1e-3 : 0)};
}

/* Compares our own product of all rows with trial->here. */
static bool is_the_product(struct trial *trial, enum dtype y_type, enum epilogue epilogue)
{
    struct trial_call call;
    size_t n = (size_t)trial->rows * (size_t)trial->weight->n_out;
    trial_call_init(&call, trial, 0, trial->rows, y_type, epilogue, trial->own);
    const struct tile_product own = {&call.op, call.product.x, call.product.ld_x, call.product.x_scale};
    matmul_tensor(trial->device, &own);
    if (!fetch(trial, trial->own, n * dtype_bytes(y_type), trial->there))
        return false;
    struct closeness close = how_close(trial, y_type, epilogue);
    for (size_t i = 0; i < n; i++) {
        double a = element(trial->here, i, y_type), b = element(trial->there, i, y_type);
        if (!(fabs(a - b) <= close.relative * fabs(b) + close.absolute))
            return false;
    }
    return true;
}

/* Multiplies some runs of rows alone and compares them with the same rows in trial->here. */
static bool rows_are_independent(struct trial *trial, const struct lt_variant *variant, enum dtype y_type,
                                 enum epilogue epilogue)
{
    static const int counts[] = {1, 2, 7, 16, 33, 64, 100, 129, 256, 1000, 2049};
    size_t row_bytes = (size_t)trial->weight->n_out * dtype_bytes(y_type);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0] && counts[i] < trial->rows; i++) {
        struct trial_call call;
        int first = (trial->rows - counts[i]) * 2 / 3 / ALIGNED_ROWS * ALIGNED_ROWS;
        trial_call_init(&call, trial, first, counts[i], y_type, epilogue, trial->y);
        if (!lt_multiply(trial->device, variant, &call.product, epilogue) ||
            !fetch(trial, trial->y, (size_t)counts[i] * row_bytes, trial->there) ||
            memcmp(trial->there, trial->here + (size_t)first * row_bytes, (size_t)counts[i] * row_bytes) != 0)
            return false;
    }
    return true;
}

/* When the library refuses in a trial, that is an answer and not a failure; a failure of CUDA stays. */
static bool passes(struct trial *trial, const struct lt_variant *variant, enum dtype y_type,
                   enum epilogue epilogue)
{
    struct device *device = trial->device;
    struct trial_call call;
    size_t n = (size_t)trial->rows * (size_t)trial->weight->n_out;
    trial_call_init(&call, trial, 0, trial->rows, y_type, epilogue, trial->y);
    bool good = lt_multiply(device, variant, &call.product, epilogue) &&
                fetch(trial, trial->y, n * dtype_bytes(y_type), trial->here) &&
                rows_are_independent(trial, variant, y_type, epilogue) &&
                is_the_product(trial, y_type, epilogue);
    if (!good && cudaStreamSynchronize(device->stream) == cudaSuccess)
        device->failure = (struct error){0};
    return good;
}

static cublasStatus_t prefer(cublasLtMatmulPreferenceOpaque_t *preference)
{
    const uint32_t no_reduction = CUBLASLT_REDUCTION_SCHEME_NONE, alignment = 16;
    const size_t workspace = LT_WORKSPACE_BYTES;
    const struct {
        cublasLtMatmulPreferenceAttributes_t attribute;
        const void *value;
        size_t size;
    } wishes[] = {
        {CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof workspace},
        {CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &no_reduction, sizeof no_reduction},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &alignment, sizeof alignment},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &alignment, sizeof alignment},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &alignment, sizeof alignment},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &alignment, sizeof alignment},
    };
    cublasStatus_t status = cublasLtMatmulPreferenceInit(preference);
    for (size_t i = 0; i < sizeof wishes / sizeof wishes[0] && status == CUBLAS_STATUS_SUCCESS; i++)
        status = cublasLtMatmulPreferenceSetAttribute(preference, wishes[i].attribute, wishes[i].value,
                                                      wishes[i].size);
    return status;
}

static bool splits_the_sum(const cublasLtMatmulAlgo_t *algorithm)
{
    int32_t parts = 0;
    uint32_t scheme = 0;
    size_t size;
    if (cublasLtMatmulAlgoConfigGetAttribute(algorithm, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &parts, sizeof parts,
                                             &size) != CUBLAS_STATUS_SUCCESS ||
        cublasLtMatmulAlgoConfigGetAttribute(algorithm, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, &scheme,
                                             sizeof scheme, &size) != CUBLAS_STATUS_SUCCESS)
        return true;
    return parts > 1 || scheme != CUBLASLT_REDUCTION_SCHEME_NONE;
}

static struct lt_product product_of(const struct trial *trial, const struct lt_variant *variant,
                                    enum dtype y_type, enum epilogue epilogue, int rows)
{
    return (struct lt_product){.weight = trial->weight,
                               .rows = rows,
                               .ld_x = trial->weight->ld,
                               .ld_y = trial->weight->n_out,
                               .y_type = y_type,
                               .epilogue = epilogue,
                               .x_scale = trial->scale,
                               .bias = trial->bias,
                               .bias_type = variant->bias_type};
}

/* Asks the library whether the algorithm takes this number of rows; nothing runs. */
static bool takes_rows(const struct trial *trial, const struct lt_variant *variant, enum dtype y_type,
                       enum epilogue epilogue, int rows)
{
    struct lt_call call;
    cublasLtMatmulHeuristicResult_t result;
    const struct lt_product product = product_of(trial, variant, y_type, epilogue, rows);
    return lt_describe(&call, &product) == CUBLAS_STATUS_SUCCESS &&
           cublasLtMatmulAlgoCheck(trial->device->library->handle, &call.operation, &call.w, &call.x, &call.y,
                                   &call.y, &variant->algorithm, &result) == CUBLAS_STATUS_SUCCESS &&
           result.workspaceSize <= LT_WORKSPACE_BYTES;
}

static bool takes_any_rows(const struct trial *trial, const struct lt_variant *variant, enum dtype y_type,
                           enum epilogue epilogue)
{
    int most = trial->device->max_rows;
    for (int rows = 1; rows < most; rows = 2 * rows + 1)
        if (!takes_rows(trial, variant, y_type, epilogue, rows))
            return false;
    return takes_rows(trial, variant, y_type, epilogue, most);
}

/* Tries the proposals for one type of bias. */
static void choose(struct trial *trial, struct lt_variant *variant, enum dtype y_type, enum epilogue epilogue)
{
    cublasLtMatmulPreferenceOpaque_t preference;
    cublasLtMatmulHeuristicResult_t proposals[CANDIDATES];
    struct lt_call call;
    int n = 0;
    const struct lt_product product = product_of(trial, variant, y_type, epilogue, trial->rows);
    if (lt_describe(&call, &product) != CUBLAS_STATUS_SUCCESS ||
        prefer(&preference) != CUBLAS_STATUS_SUCCESS ||
        cublasLtMatmulAlgoGetHeuristic(trial->device->library->handle, &call.operation, &call.w, &call.x,
                                       &call.y, &call.y, &preference, CANDIDATES, proposals,
                                       &n) != CUBLAS_STATUS_SUCCESS)
        return;
    for (int i = 0; i < n && !variant->usable && trial->device->failure.status == STATUS_OK; i++) {
        if (proposals[i].state != CUBLAS_STATUS_SUCCESS || splits_the_sum(&proposals[i].algo))
            continue;
        variant->algorithm = proposals[i].algo;
        variant->usable =
            takes_any_rows(trial, variant, y_type, epilogue) && passes(trial, variant, y_type, epilogue);
    }
}

static void choose_all(struct trial *trial, struct library_choice *choice)
{
    for (int output = 0; output < N_OUTPUTS; output++)
        for (int epilogue = 0; epilogue < N_EPILOGUES; epilogue++) {
            struct lt_variant *variant = &choice->variant[output][epilogue];
            variant->bias_type = CUDA_R_32F;
            choose(trial, variant, output ? DTYPE_BF16 : DTYPE_F32, (enum epilogue)epilogue);
            if (!variant->usable && epilogue != EPILOGUE_NONE &&
                output) { /* the bias is rounded to bf16, which is as exact as y itself */
                variant->bias_type = CUDA_R_16BF;
                choose(trial, variant, DTYPE_BF16, (enum epilogue)epilogue);
            }
            choice->usable |= variant->usable;
        }
}

static bool library_takes(const struct device *device, const struct weight *weight)
{
    return device->library != NULL && weight->use == WEIGHT_PRODUCT && weight->format != WEIGHT_F32 &&
           weight->data != NULL && weight->n_in % 8 == 0 &&
           weight->n_out % (weight->format == WEIGHT_E4M3 ? 16 : 8) == 0 &&
           (size_t)weight->n_out * 2 <= LT_BIAS_BYTES;
}

static struct library_choice *find(const struct product_library *library, const struct weight *weight)
{
    struct library_choice *choice = library->choices;
    while (choice != NULL && (choice->n_out != weight->n_out || choice->n_in != weight->n_in ||
                              choice->format != weight->format))
        choice = choice->next;
    return choice;
}

struct library_choice *library_choose(struct device *device, const struct weight *weight)
{
    if (!library_takes(device, weight))
        return NULL;
    struct library_choice *choice = find(device->library, weight);
    if (choice == NULL) {
        choice = calloc(1, sizeof *choice);
        if (choice == NULL)
            return NULL;
        *choice = (struct library_choice){.next = device->library->choices,
                                          .n_out = weight->n_out,
                                          .n_in = weight->n_in,
                                          .format = weight->format};
        device->library->choices = choice;
        struct trial trial;
        trial_init(&trial, device, weight);
        if (device->failure.status == STATUS_OK)
            choose_all(&trial, choice);
        trial_release(&trial);
    }
    return choice->usable ? choice : NULL;
}
