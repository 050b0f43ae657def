#include "kernels/cuda/device.h"
#include "kernels/cuda/gpu.cuh"
#include "kernels/cuda/operations.h"
#include "kernels/cuda/vector.cuh"

/* x[i, :] += gate ⊙ (y[i, :] + bias): a block has a row. The cost is 12 bytes of memory traffic for each
 * element. */
enum { THREADS = 128 };

template <int N> __global__ void __launch_bounds__(THREADS) gated_add(struct gated_add op)
{
    int64_t row = blockIdx.x;
    const float *gate = op.modulation + op.condition_of_row[row] * op.ld_modulation + op.gate_offset;
    float *x = op.x + row * op.width;
    const float *y = op.y + row * op.width;
    for (int i = threadIdx.x * N; i < op.width; i += THREADS * N) {
        floats<N> to = load_floats<N>(x + i), add = load_floats<N>(y + i), g = load_floats<N>(gate + i),
                  b = {};
        if (op.bias != NULL)
            b = load_floats<N>(op.bias + i);
        for (int j = 0; j < N; j++)
            to.v[j] = fmaf(g.v[j], add.v[j] + b.v[j], to.v[j]);
        store_floats(x + i, to);
    }
}

static bool all_by_four(const struct gated_add *op)
{
    return walks_by_four(op->x, op->width, op->width, sizeof(float)) &&
           walks_by_four(op->y, op->width, op->width, sizeof(float)) && (uintptr_t)op->bias % 16 == 0 &&
           walks_by_four(op->modulation, op->ld_modulation, op->width, sizeof(float)) &&
           op->gate_offset % 4 == 0;
}

extern "C" void cuda_gated_add(struct device *device, const struct gated_add *op)
{
    if (!device_accepts(device, "gated_add", op->rows, op->width) || op->rows == 0 || op->width == 0)
        return;
    dim3 grid(op->rows), block(THREADS);
    device_check(device,
                 all_by_four(op) ? launch(gated_add<4>, grid, block, 0, device->stream, *op)
                                 : launch(gated_add<1>, grid, block, 0, device->stream, *op),
                 "gated_add");
}
