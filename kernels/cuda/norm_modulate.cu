#include "kernels/cuda/device.h"
#include "kernels/cuda/gpu.cuh"
#include "kernels/cuda/operations.h"
#include "kernels/cuda/vector.cuh"

/*
 * y[i, :] = LN(x[i, :]) ⊙ weight ⊙ (1 + scale) + shift. One warp has one row: it reads the row once into
 * registers where it fits (HELD vectors a lane), else three times, the second and third from the cache. It
 * computes the mean first, then the variance about that mean. A lane adds up its own elements in order, and
 * one tree adds the lanes: the bits depend on the row and its width alone.
 *
 * A row reads 4 * width bytes and writes 2 or 4 * width; weight, scale and shift come from the cache. Memory
 * bandwidth alone limits the speed.
 */
enum { WARPS = 8, LANES = 32 };

/* The row as this lane sees it: its vectors, kept (HELD > 0) or read again. */
template <int N, int HELD> struct lane_row {
    const float *x;
    int n_vectors; /* of the row */
    floats<N> held[HELD > 0 ? HELD : 1];

    /* f(vector's number, vector) for every vector of this lane, in order */
    template <class F> __device__ inline void walk(F f)
    {
        if constexpr (HELD > 0) {
#pragma unroll
            for (int i = 0; i < HELD; i++)
                if ((int)threadIdx.x + i * LANES < n_vectors)
                    f(threadIdx.x + i * LANES, held[i]);
        } else {
            for (int i = threadIdx.x; i < n_vectors; i += LANES)
                f(i, load_floats<N>(x + (int64_t)i * N));
        }
    }

    __device__ inline void read()
    {
        if constexpr (HELD > 0) {
#pragma unroll
            for (int i = 0; i < HELD; i++)
                if ((int)threadIdx.x + i * LANES < n_vectors)
                    held[i] = load_floats<N>(x + (int64_t)(threadIdx.x + i * LANES) * N);
        }
    }
};

template <int N, int HELD, class Out>
__global__ void __launch_bounds__(WARPS *LANES) norm_modulate(struct norm_modulate op)
{
    int64_t row = (int64_t)blockIdx.x * WARPS + threadIdx.y;
    if (row >= op.rows)
        return;
    const float *modulation = op.modulation + op.condition_of_row[row] * op.ld_modulation;
    const float *shift = modulation + op.shift_offset, *scale = modulation + op.scale_offset;
    Out *y = (Out *)op.y + row * op.width;
    lane_row<N, HELD> lane = {op.x + row * op.width, op.width / N};
    float sum = 0, squares = 0, width = (float)op.width;
    lane.read();
    lane.walk([&](int, floats<N> e) {
        for (int j = 0; j < N; j++)
            sum += e.v[j];
    });
    float mean = warp_sum(sum) / width;
    lane.walk([&](int, floats<N> e) {
        for (int j = 0; j < N; j++)
            squares = fmaf(e.v[j] - mean, e.v[j] - mean, squares);
    });
    float factor = 1.0f / sqrtf(warp_sum(squares) / width + 1e-5f);
    lane.walk([&](int i, floats<N> e) {
        floats<N> w = load_floats<N>(op.weight + i * N), a = load_floats<N>(scale + i * N),
                  b = load_floats<N>(shift + i * N);
        for (int j = 0; j < N; j++)
            e.v[j] = fmaf((e.v[j] - mean) * factor * w.v[j], 1.0f + a.v[j], b.v[j]);
        store_floats(y + (int64_t)i * N, e);
    });
}

template <int N, int HELD> static cudaError_t launch_as(struct device *device, const struct norm_modulate *op)
{
    dim3 grid(divide_up(op->rows, WARPS)), block(LANES, WARPS);
    if (device->precision == PRECISION_F32)
        return launch(norm_modulate<N, HELD, float>, grid, block, 0, device->stream, *op);
    return launch(norm_modulate<N, HELD, __nv_bfloat16>, grid, block, 0, device->stream, *op);
}

static bool all_by_four(const struct norm_modulate *op)
{
    return walks_by_four(op->x, op->width, op->width, sizeof(float)) &&
           walks_by_four(op->weight, op->width, op->width, sizeof(float)) &&
           walks_by_four(op->modulation, op->ld_modulation, op->width, sizeof(float)) &&
           op->shift_offset % 4 == 0 && op->scale_offset % 4 == 0 && (uintptr_t)op->y % 16 == 0;
}

extern "C" void cuda_norm_modulate(struct device *device, const struct norm_modulate *op)
{
    if (!device_accepts(device, "norm_modulate", op->rows, op->width) || op->rows == 0 || op->width == 0)
        return;
    cudaError_t result;
    if (!all_by_four(op))
        result = launch_as<1, 0>(device, op);
    else if (op->width <= 4 * LANES * 8)
        result = launch_as<4, 8>(device, op);
    else if (op->width <= 4 * LANES * 16)
        result = launch_as<4, 16>(device, op);
    else
        result = launch_as<4, 0>(device, op);
    device_check(device, result, "norm_modulate");
}
