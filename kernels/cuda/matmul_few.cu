#include "kernels/cuda/activation.cuh"
#include "kernels/cuda/matmul.h"
#include "kernels/cuda/vector.cuh"

/*
 * Conditioning: a warp has one element of y. Its lanes walk k side by side. Each lane adds up its own
 * products in order, and then one tree adds the lanes.
 */
enum { WARPS = 4, LANES = 32, ROWS_MAX = 65535 };

__device__ inline void put(float *y, float v)
{
    *y = v;
}

__device__ inline void put(__nv_bfloat16 *y, float v)
{
    *y = __float2bfloat16_rn(v);
}

template <int N, class Weight, class Out>
__global__ void __launch_bounds__(WARPS *LANES)
    product_few(struct matmul op, const Weight *w, int64_t ld_w, int n_out, int n_in)
{
    int column = blockIdx.x * WARPS + threadIdx.y;
    if (column >= n_out)
        return;
    const float *x = (const float *)op.x + blockIdx.y * op.ld_x;
    w += column * ld_w;
    float sum = 0;
    for (int k = threadIdx.x * N; k < n_in; k += LANES * N) {
        floats<N> a = load_floats<N>(x + k), b = load_floats<N>(w + k);
        for (int j = 0; j < N; j++)
            sum = fmaf(a.v[j], b.v[j], sum);
    }
    sum = warp_sum(sum);
    if (threadIdx.x == 0)
        put((Out *)op.y + blockIdx.y * op.ld_y + column,
            activate_exact(op.activation, sum + (op.bias != NULL ? op.bias[column] : 0.0f)));
}

template <int N, class Weight, class Out>
static cudaError_t launch_few(struct device *device, const struct matmul *op)
{
    const struct weight *weight = op->weight;
    dim3 grid(divide_up(weight->n_out, WARPS), op->rows), block(LANES, WARPS);
    return launch(product_few<N, Weight, Out>, grid, block, 0, device->stream, *op,
                  (const Weight *)weight->data, weight->ld, weight->n_out, weight->n_in);
}

template <class Weight, class Out>
static cudaError_t launch_vectors(struct device *device, const struct matmul *op)
{
    return walks_by_four(op->x, op->ld_x, op->weight->n_in, sizeof(float))
               ? launch_few<4, Weight, Out>(device, op)
               : launch_few<1, Weight, Out>(device, op);
}

template <class Weight> static cudaError_t launch_out(struct device *device, const struct matmul *op)
{
    return op->y_type == DTYPE_F32 ? launch_vectors<Weight, float>(device, op)
                                   : launch_vectors<Weight, __nv_bfloat16>(device, op);
}

extern "C" void matmul_few(struct device *device, const struct matmul *op)
{
    if (op->rows > ROWS_MAX)
        failure_keep(&device->failure, STATUS_OUT_OF_RANGE, "a conditioning product of %d rows; at most %d",
                     op->rows, ROWS_MAX);
    else
        device_check(device,
                     op->weight->format == WEIGHT_F32 ? launch_out<float>(device, op)
                                                      : launch_out<__nv_bfloat16>(device, op),
                     "matmul");
}
