#include "kernels/cuda/device.h"
#include "kernels/cuda/gpu.cuh"
#include "kernels/cuda/operations.h"

/* Operations of a few bytes a row, and the addition of two vectors. */
enum { THREADS = 256, ADD_BLOCKS_MAX = 4096 };

__global__ void select_ids(const int32_t *ids, const int32_t *index, const int32_t *other, int n, int32_t *y)
{
    int i = blockIdx.x * THREADS + threadIdx.x;
    if (i < n)
        y[i] = index[i] >= 0 ? ids[index[i]] : other[i];
}

extern "C" void cuda_select_ids(struct device *device, const int32_t *ids, const int32_t *index,
                                const int32_t *other, int n, int32_t *y)
{
    if (device->failure.status == STATUS_OK && n > 0)
        device_check(device,
                     launch(select_ids, dim3(divide_up(n, THREADS)), dim3(THREADS), 0, device->stream, ids,
                            index, other, n, y),
                     "select_ids");
}

/* Writes the drawn tokens. At most one rank has drawn a token for a row. */
__global__ void write_drawn(const struct drawn_token *drawn, int n_ranks, const int32_t *row, int rows,
                            int32_t *ids)
{
    int i = blockIdx.x * THREADS + threadIdx.x;
    if (i >= rows)
        return;
    for (int rank = 0; rank < n_ranks; rank++) {
        int32_t token = drawn[(int64_t)rank * rows + i].token;
        if (token >= 0)
            ids[row[i]] = token;
    }
}

extern "C" void cuda_write_drawn(struct device *device, const struct drawn_token *drawn, int n_ranks,
                                 const int32_t *row, int rows, int32_t *ids)
{
    if (device->failure.status == STATUS_OK && rows > 0)
        device_check(device,
                     launch(write_drawn, dim3(divide_up(rows, THREADS)), dim3(THREADS), 0, device->stream,
                            drawn, n_ranks, row, rows, ids),
                     "write_drawn");
}

/* Threads walk the vectors of 4 floats, then the floats that are left. */
__global__ void add(const float *a, const float *b, int64_t n_vectors, int64_t n, float *y)
{
    int64_t first = (int64_t)blockIdx.x * THREADS + threadIdx.x, stride = (int64_t)gridDim.x * THREADS;
    for (int64_t i = first; i < n_vectors; i += stride) {
        float4 p = ((const float4 *)a)[i], q = ((const float4 *)b)[i];
        ((float4 *)y)[i] = make_float4(p.x + q.x, p.y + q.y, p.z + q.z, p.w + q.w);
    }
    for (int64_t i = 4 * n_vectors + first; i < n; i += stride)
        y[i] = a[i] + b[i];
}

extern "C" void cuda_add(struct device *device, const float *a, const float *b, int64_t n, float *y)
{
    if (device->failure.status != STATUS_OK || n <= 0)
        return;
    bool vectors = ((uintptr_t)a | (uintptr_t)b | (uintptr_t)y) % sizeof(float4) == 0;
    int64_t n_vectors = vectors ? n / 4 : 0, work = vectors ? n / 4 + 3 : n;
    int64_t blocks = (work + THREADS - 1) / THREADS, most = ADD_BLOCKS_MAX;
    device_check(device,
                 launch(add, dim3((unsigned)(blocks < most ? blocks : most)), dim3(THREADS), 0,
                        device->stream, a, b, n_vectors, n, y),
                 "add");
}
