#include "kernels/cuda/device.h"
#include "kernels/cuda/gpu.cuh"
#include "kernels/cuda/operations.h"

/*
 * Copies of whole rows: a block of threads walks one row at a time in words of 4 or 16 bytes. embed and
 * gather_rows differ in where the index points and in what a row outside the table becomes.
 */
enum { COPY_THREADS = 128 };

template <class Word>
__global__ void copy_rows(const Word *table, int first, int n, int64_t row_words, const int32_t *index,
                          Word *y)
{
    int64_t source = (int64_t)index[blockIdx.x] - first;
    bool inside = source >= 0 && source < n;
    const Word *from = table + (inside ? source : 0) * row_words;
    Word *to = y + blockIdx.x * row_words;
    for (int64_t i = threadIdx.x; i < row_words; i += COPY_THREADS)
        to[i] = inside ? from[i] : Word{};
}

static bool aligned(const void *p, size_t to)
{
    return (uintptr_t)p % to == 0;
}

static void copy(struct device *device, const char *operation, const void *table, int32_t first, int32_t n,
                 size_t row_bytes, const int32_t *index, int rows, void *y)
{
    if (rows == 0 || row_bytes == 0 || device->failure.status != STATUS_OK)
        return;
    cudaError_t result;
    if (row_bytes % sizeof(uint4) == 0 && aligned(table, sizeof(uint4)) && aligned(y, sizeof(uint4)))
        result =
            launch(copy_rows<uint4>, dim3(rows), dim3(COPY_THREADS), 0, device->stream, (const uint4 *)table,
                   first, n, (int64_t)(row_bytes / sizeof(uint4)), index, (uint4 *)y);
    else
        result = launch(copy_rows<uint32_t>, dim3(rows), dim3(COPY_THREADS), 0, device->stream,
                        (const uint32_t *)table, first, n, (int64_t)(row_bytes / sizeof(uint32_t)), index,
                        (uint32_t *)y);
    device_check(device, result, operation);
}

extern "C" void cuda_embed(struct device *device, const void *table, int32_t first, int32_t n, int width,
                           const int32_t *ids, int rows, float *x)
{
    if (device_accepts(device, "embed", rows, width))
        copy(device, "embed", table, first, n, (size_t)width * sizeof *x, ids, rows, x);
}

extern "C" void cuda_gather_rows(struct device *device, const void *x, size_t row_bytes, const int32_t *index,
                                 int rows, void *y)
{
    if (device_accepts(device, "gather_rows", rows, (int64_t)(row_bytes / sizeof(float))))
        copy(device, "gather_rows", x, 0, INT32_MAX, row_bytes, index, rows, y);
}
