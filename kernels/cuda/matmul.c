#include "kernels/cuda/matmul.h"

#include "kernels/cuda/convert.h"
#include "kernels/cuda/library.h"
#include "kernels/cuda/operations.h"
#include "kernels/cuda/scratch.h"

/*
 * Chooses the product. Conditioning runs in float32 (matmul_few), and float32 devices run our own matmul_f32.
 * All else runs the library where the weight has a library choice and the library takes the call; otherwise
 * it runs our own matmul_tensor. The scratch holds the library's workspace first, then rows of x as e4m3,
 * then their scales.
 */
static size_t aligned_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

struct quantised {
    char *q;
    float *scale;
    size_t end; /* bytes of scratch up to here */
};

static struct quantised quantised_in(char *scratch, size_t rows, size_t ld)
{
    struct quantised x = {.q = scratch + LIBRARY_WORKSPACE_BYTES};
    size_t scales = LIBRARY_WORKSPACE_BYTES + aligned_up(rows * ld, 256);
    x.scale = (float *)(void *)(scratch + scales);
    x.end = scales + rows * sizeof(float);
    return x;
}

static size_t row_of(int n_in)
{
    return aligned_up((size_t)n_in, WEIGHT_ALIGNMENT);
}

size_t matmul_scratch_bytes(const struct device_options *options, enum precision precision)
{
    if (precision == PRECISION_F32)
        return 0;
    if (precision == PRECISION_FP8)
        return quantised_in(NULL, (size_t)options->max_rows, row_of(options->max_columns)).end;
    return LIBRARY_WORKSPACE_BYTES;
}

static const char *refusal(const struct device *device, const struct matmul *op)
{
    bool f32 = device->precision == PRECISION_F32 || op->weight->use == WEIGHT_CONDITIONING;
    if (op->x_type != (f32 ? DTYPE_F32 : DTYPE_BF16))
        return f32 ? "x must be F32" : "x must be BF16";
    if (op->y_type != DTYPE_F32 && (device->precision == PRECISION_F32 || op->y_type != DTYPE_BF16))
        return "y must be F32 or the activation type";
    return NULL;
}

static void multiply(struct device *device, const struct matmul *op)
{
    struct tile_product own = {.op = op, .x = op->x, .ld_x = op->ld_x};
    char *scratch = device->scratch;
    if (op->weight->format == WEIGHT_E4M3) {
        size_t ld = row_of(op->weight->n_in);
        struct quantised x = quantised_in(scratch, (size_t)library_padded_rows(op), ld);
        if (device_scratch(device, "matmul", x.end) == NULL)
            return;
        quantise_rows(device, op->x, op->ld_x, op->rows, op->weight->n_in, x.q, (int64_t)ld, x.scale);
        own = (struct tile_product){.op = op, .x = x.q, .ld_x = (int64_t)ld, .x_scale = x.scale};
    }
    const struct library_product library = {op, own.x, own.ld_x, own.x_scale, scratch};
    if (op->weight->choice == NULL || !library_run(device, &library))
        matmul_tensor(device, &own);
}

void cuda_matmul(struct device *device, const struct matmul *op)
{
    if (!device_accepts(device, "matmul", op->rows, op->weight->n_in) || op->rows == 0 ||
        op->weight->n_out == 0)
        return;
    const char *why = refusal(device, op);
    if (why != NULL)
        failure_keep(&device->failure, STATUS_INVALID_ARGUMENT, "matmul of [%d, %d]: %s", op->rows,
                     op->weight->n_in, why);
    else if (op->weight->use == WEIGHT_CONDITIONING)
        matmul_few(device, op);
    else if (device->precision == PRECISION_F32)
        matmul_f32(device, op);
    else
        multiply(device, op);
}
