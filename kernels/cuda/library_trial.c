#include "kernels/cuda/library_trial.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/convert.h"
#include "kernels/cuda/matmul.h"

enum { TRIAL_BYTES = 32 << 20, TRIAL_ROWS = 2304 };
enum {
    ALIGNED_ROWS = 4
}; /* scales of so many rows are 16 bytes, on which the library wants its pointers to begin */

void trial_release(struct trial *trial)
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

void trial_init(struct trial *trial, struct device *device, const struct weight *weight)
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
                            struct trial_kind kind, void *y)
{
    const struct weight *weight = trial->weight;
    bool fp8 = weight->format == WEIGHT_E4M3;
    size_t at = (size_t)first * (size_t)weight->ld;
    call->op = (struct matmul){.x_type = DTYPE_BF16,
                               .rows = rows,
                               .weight = weight,
                               .bias = kind.epilogue == EPILOGUE_NONE ? NULL : trial->bias,
                               .activation = kind.epilogue == EPILOGUE_BIAS_GELU ? ACTIVATION_GELU_TANH
                                                                                 : ACTIVATION_NONE,
                               .y = y,
                               .y_type = kind.y_type,
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

static size_t row_bytes(const struct trial *trial, struct trial_kind kind)
{
    return (size_t)trial->weight->n_out * dtype_bytes(kind.y_type);
}

/* Multiplies rows from `first` on into the host's memory. */
static bool multiply(struct trial *trial, const struct lt_variant *variant, struct trial_kind kind, int first,
                     int rows, char *to)
{
    struct trial_call call;
    trial_call_init(&call, trial, first, rows, kind, trial->y);
    cublasStatus_t status = lt_multiply(trial->device, variant, &call.product, kind.epilogue);
    if (status != CUBLAS_STATUS_SUCCESS)
        snprintf(trial->why, sizeof trial->why, "%d rows: %.60s", rows, cublasLtGetStatusString(status));
    return status == CUBLAS_STATUS_SUCCESS &&
           fetch(trial, trial->y, (size_t)rows * row_bytes(trial, kind), to);
}

/* How far two right results may be apart. Sums that cancel keep the error of their terms, so what counts
 * beside the result itself is the typical one. bf16: both sum in float32, tensor cores by cutting off. e4m3:
 * Hopper's tensor cores keep some 14 bits of a sum until it is promoted (DeepSeek-V3, arXiv
 * 2412.19437, 3.3.2), and ours keeps 24. */
struct closeness {
    double relative, absolute;
};

static struct closeness how_close(const struct trial *trial, struct trial_kind kind, const float *own,
                                  size_t n)
{
    double squares = 0;
    for (size_t i = 0; i < n; i++)
        squares += (double)own[i] * own[i];
    double typical = sqrt(squares / (double)n),
           part = trial->weight->format == WEIGHT_E4M3 ? 0x1p-8 : 0x1p-12;
    return (struct closeness){.relative = kind.y_type == DTYPE_F32 ? 1e-4 : 0x1p-7,
                              .absolute = part * typical + (kind.epilogue == EPILOGUE_BIAS_GELU ? 1e-3 : 0)};
}

static bool are_close(const float *theirs, const float *own, size_t n, struct closeness close)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)theirs[i] - own[i]) <= close.relative * fabs((double)own[i]) + close.absolute))
            return false;
    return true;
}

/* Compares our own product of the first rows with trial->here. Rows are independent, as the bits of all rows
 * have shown, so a few of them tell what is multiplied. */
static bool is_the_product(struct trial *trial, struct trial_kind kind)
{
    enum { ROWS = 256 };
    struct trial_call call;
    int rows = trial->rows < ROWS ? trial->rows : ROWS;
    size_t n = (size_t)rows * (size_t)trial->weight->n_out;
    trial_call_init(&call, trial, 0, rows, kind, trial->own);
    const struct tile_product own = {&call.op, call.product.x, call.product.ld_x, call.product.x_scale};
    matmul_tensor(trial->device, &own);
    if (!fetch(trial, trial->own, n * dtype_bytes(kind.y_type), trial->there))
        return false;
    float *numbers = malloc(2 * n * sizeof *numbers);
    if (numbers == NULL)
        return false;
    dtype_to_float(kind.y_type, trial->here, n, numbers);
    dtype_to_float(kind.y_type, trial->there, n, numbers + n);
    bool close = are_close(numbers, numbers + n, n, how_close(trial, kind, numbers + n, n));
    free(numbers);
    if (!close)
        snprintf(trial->why, sizeof trial->why, "its results are not the product's");
    return close;
}

/* Multiplies a run of rows alone and compares it with the same rows in trial->here. */
static bool same_bits(struct trial *trial, const struct lt_variant *variant, struct trial_kind kind, int rows)
{
    size_t size = row_bytes(trial, kind);
    int first = (trial->rows - rows) * 2 / 3 / ALIGNED_ROWS * ALIGNED_ROWS;
    if (!multiply(trial, variant, kind, first, rows, trial->there))
        return false;
    if (memcmp(trial->there, trial->here + (size_t)first * size, (size_t)rows * size) == 0)
        return true;
    snprintf(trial->why, sizeof trial->why, "bits differ at %d rows", rows);
    return false;
}

/* When the library refuses in a trial, that is an answer and not a failure; a failure of CUDA stays. */
static bool forgive(struct trial *trial, bool good)
{
    if (!good && cudaStreamSynchronize(trial->device->stream) == cudaSuccess)
        trial->device->failure = (struct error){0};
    return good;
}

/* The ends, the middle, and both an even and an odd number. */
static bool rows_are_independent(struct trial *trial, const struct lt_variant *variant,
                                 struct trial_kind kind, int least, int most)
{
    int end = most < trial->rows ? most : trial->rows, start = least < end ? least : end;
    const int tried[] = {start, start + 1, (start + end) / 2 | 1, end};
    bool good = true;
    for (size_t i = 0; i < sizeof tried / sizeof tried[0] && good; i++)
        if (tried[i] <= end)
            good = same_bits(trial, variant, kind, tried[i]);
    return good;
}

bool trial_passes(struct trial *trial, const struct lt_variant *variant, struct trial_kind kind)
{
    static const int counts[] = {2, 7, 16, 33, 64, 100, 129, 256, 257, 1000, 2049};
    bool good = multiply(trial, variant, kind, 0, trial->rows, trial->here) &&
                rows_are_independent(trial, variant, kind, variant->least_rows, trial->rows);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0] && counts[i] < trial->rows && good; i++)
        if (counts[i] >= variant->least_rows)
            good = same_bits(trial, variant, kind, counts[i]);
    return forgive(trial, good && is_the_product(trial, kind));
}

bool trial_agrees(struct trial *trial, const struct lt_variant *variant, struct trial_kind kind, int least,
                  int most)
{
    return forgive(trial, rows_are_independent(trial, variant, kind, least, most));
}
