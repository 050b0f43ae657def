#include "kernels/cuda/head_tile.cuh"
#include "kernels/cuda/operations.h"

/*
 * The scan of the vocabulary. A block has a tile of rows x VOCABULARY_TILE columns. Its logits never leave
 * the multiprocessor: only {max, sum} of each row do (8 bytes for 128 columns). A second kernel combines each
 * group from its tiles, in a fixed order, in double.
 *
 * Blocks walk the tiles in bands of BAND row tiles, all columns of a band before the next: the band's rows
 * stay in the second-level cache, and each tile of the weight comes from memory once a band.
 *
 * Flops: 2 rows n_out n_in, as any product of that shape; the epilogue adds 3 % at n_in = 2,048 (128 x 128
 * elements stored to and read from shared memory, an exp each, beside 4,096 mma a warp). Shared memory: 68
 * KiB for 128 rows, so two blocks on a multiprocessor of sm_80 and sm_90 (registers allow no third).
 * Expected, not measured: 45 to 55 % of an H100's dense bf16 peak for many rows (docs/cuda.md says why); for
 * up to 16 rows the weight's bytes decide.
 */
namespace head_scans
{
using namespace head;

enum { BAND = 16, COMBINE_WARPS = 4 };

template <class Product> __device__ inline void find_tile(const view &a, int *row_tile, int *tile)
{
    int n_rows = (a.rows + Product::Shape::ROWS - 1) / Product::Shape::ROWS;
    int band = blockIdx.x / (BAND * a.n_tiles), inside = blockIdx.x % (BAND * a.n_tiles);
    int height = min(BAND, n_rows - band * BAND);
    *row_tile = band * BAND + inside % height;
    *tile = inside / height;
}

template <class Product> __global__ void __launch_bounds__(THREADS) head_scan_kernel(view a)
{
    int row_tile, tile;
    find_tile<Product>(a, &row_tile, &tile);
    int first = row_tile * Product::Shape::ROWS;
    rows rows = {NULL, first, min(Product::Shape::ROWS, a.rows - first)};
    const float *raw = Product::product(a, rows, tile);
    row_part bias = lane_bias(a, tile);
    for (int i = threadIdx.x / ROW_LANES; i < Product::Shape::ROWS; i += ROWS_AT_ONCE) {
        int row = min(first + i, a.rows - 1); /* lanes without a row keep step with their warp */
        float *taken = first + i < a.rows ? &a.left_out_logit[row] : NULL;
        row_part part = row_logits(a, tile, row, raw + i * LOGITS_LD, bias, taken);
        float max = row_max(part), sum = row_exp(part, max);
        if (first + i < a.rows && threadIdx.x % ROW_LANES == 0)
            a.tiles[(int64_t)row * a.n_tiles + tile] = {max, sum};
    }
}

/* The largest over the warp; a NaN wins. */
__device__ inline float warp_max(float max)
{
    for (int lanes = 1; lanes < LANES; lanes *= 2) {
        float other = __shfl_xor_sync(0xffffffffu, max, lanes);
        max = other <= max ? max : other;
    }
    return max;
}

/* {max, Σ sum_i exp(max_i - max)} of n tiles by a warp: each lane its own in order, then a tree. */
__device__ inline struct exp_sum combine(const struct exp_sum *tiles, int n)
{
    float max = -INFINITY;
    double sum = 0;
    int lane = threadIdx.x;
    for (int i = lane; i < n; i += LANES)
        max = tiles[i].max <= max ? max : tiles[i].max;
    max = warp_max(max);
    for (int i = lane; i < n; i += LANES)
        if (tiles[i].sum != 0)
            sum = __dadd_rn(sum, __dmul_rn(tiles[i].sum, exp((double)tiles[i].max - (double)max)));
    for (int lanes = 1; lanes < LANES; lanes *= 2)
        sum = __dadd_rn(sum, __shfl_xor_sync(0xffffffffu, sum, lanes));
    return {max, (float)sum};
}

/* A warp has a row: its groups, and -INFINITY where no tile of this rank had its left-out token. */
__global__ void __launch_bounds__(COMBINE_WARPS *LANES) head_combine_kernel(view a)
{
    int row = blockIdx.x * COMBINE_WARPS + threadIdx.y;
    if (row >= a.rows)
        return;
    const struct exp_sum *tiles = a.tiles + (int64_t)row * a.n_tiles;
    for (int group = 0; group < a.n_groups; group++) {
        int first = a.group_column[group] / TILE, end = (a.group_column[group + 1] + TILE - 1) / TILE;
        struct exp_sum sum = combine(tiles + first, end - first);
        if (threadIdx.x == 0)
            a.groups[(int64_t)group * a.rows + row] = sum;
    }
    int32_t column = a.left_out[row] - a.first_column;
    if (threadIdx.x == 0 && (a.left_out[row] < 0 || column < 0 || column >= a.n_out))
        a.left_out_logit[row] = -INFINITY;
}

template <class Product> static cudaError_t launch_scan(struct device *device, const view &a)
{
    unsigned blocks = (unsigned)(divide_up(a.rows, Product::Shape::ROWS) * a.n_tiles);
    return launch(head_scan_kernel<Product>, dim3(blocks), dim3(THREADS), Product::Shape::BYTES,
                  device->stream, a);
}

template <class How> static cudaError_t launch_rows(struct device *device, const view &a)
{
    return a.rows <= small::ROWS    ? launch_scan<by_tensor_cores<small, How>>(device, a)
           : a.rows <= medium::ROWS ? launch_scan<by_tensor_cores<medium, How>>(device, a)
                                    : launch_scan<by_tensor_cores<large, How>>(device, a);
}

static cudaError_t launch_any(struct device *device, const view &a)
{
    if (device->precision == PRECISION_F32)
        return launch_scan<by_float32>(device, a);
    return rows_begin_on_16_bytes(a) ? launch_rows<by_chunk>(device, a) : launch_rows<by_element>(device, a);
}
} // namespace head_scans

using namespace head_scans;

extern "C" void cuda_head_scan(struct device *device, const struct head_scan *op)
{
    if (!device_accepts(device, "head_scan", op->rows, op->weight->n_in) ||
        !weight_fits(device, "head_scan", op) || op->rows == 0)
        return;
    view a = view_of(op);
    if (a.n_tiles > 0 && !device_check(device, launch_any(device, a), "head_scan"))
        return;
    device_check(device,
                 launch(head_combine_kernel, dim3((unsigned)divide_up(a.rows, COMBINE_WARPS)),
                        dim3(LANES, COMBINE_WARPS), 0, device->stream, a),
                 "head_scan, groups");
}
