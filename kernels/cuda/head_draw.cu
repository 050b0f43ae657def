#include "kernels/cuda/head_tile.cuh"
#include "kernels/cuda/operations.h"
#include "kernels/cuda/scratch.h"

/*
 * The draw. In a step with jumps few rows draw from this rank's columns; in the last step all rows may. A
 * tile of the weight is read once for up to ROWS rows that fall into it:
 *
 *   find   a thread a row: walks the kept tiles of the chosen group; counts the rows of each tile
 *   place  one block: runs of up to ROWS rows of the same tile become items, rows go into their item's list
 *   draw   a block an item: the tile's logits once more, bit for bit as head_scan had them
 *          (head_tile.cuh), then a walk over columns
 *
 * Running sums are double, in units of exp(the group's max). Where rounding lets a walk end before the
 * target, the walk takes the last tile or column with any mass, so a left-out token is never drawn. The order
 * of rows within an item is not fixed (an atomic counter gives the places), and does not matter: a row's draw
 * depends on the row alone.
 */
namespace head_draws
{
using namespace head;

enum { ROWS = small::ROWS, FIND_THREADS = 128, PLACE_THREADS = 1024, TILES_MAX = 8192 };

/* The scratch, and what the kernels need beyond the scan. */
struct draw_work {
    view scan;
    int first_group, n_items; /* as many as there can be */
    const struct row_choice *choice;
    struct drawn_token *drawn;
    double *target;       /* [rows] within the tile */
    int32_t *tile, *slot; /* [rows]; tile -1: nothing to draw here. slot: which of the tile's rows */
    int32_t *count;       /* [n_tiles] rows of the tile */
    int32_t *first_item;  /* [n_tiles] */
    int32_t *item_tile;   /* [n_items], -1: none */
    int32_t *item_rows;   /* [n_items, ROWS] */
};

/* The tile of first ... end - 1 in which the running sum passes *target; *target becomes what is left within
 * it. -1: no mass. */
__device__ inline int walk_tiles(const struct exp_sum *tiles, int first, int end, float group_max,
                                 double *target)
{
    double before = 0, rest = 0;
    int found = -1;
    for (int tile = first; tile < end; tile++) {
        struct exp_sum sum = tiles[tile];
        double mass = sum.sum > 0 ? __dmul_rn(sum.sum, exp((double)sum.max - (double)group_max)) : 0;
        if (mass <= 0)
            continue;
        found = tile;
        rest = *target - before;
        before = __dadd_rn(before, mass);
        if (before > *target)
            break;
    }
    *target = rest;
    return found;
}

__global__ void __launch_bounds__(FIND_THREADS) head_find_kernel(draw_work work)
{
    const view &a = work.scan;
    int row = blockIdx.x * FIND_THREADS + threadIdx.x, tile = -1;
    if (row >= a.rows)
        return;
    struct row_choice choice = work.choice[row];
    int group = choice.group - work.first_group;
    if (choice.group >= 0 && group >= 0 && group < a.n_groups)
        tile = walk_tiles(a.tiles + (int64_t)row * a.n_tiles, a.group_column[group] / TILE,
                          (a.group_column[group + 1] + TILE - 1) / TILE,
                          a.groups[(int64_t)group * a.rows + row].max, &choice.target);
    work.drawn[row] = {-1, 0};
    work.tile[row] = tile;
    work.target[row] = choice.target;
    if (tile >= 0)
        work.slot[row] = atomicAdd(&work.count[tile], 1);
}

/* Σ of n over the threads before this one; *all: over all. */
__device__ static int sum_before(int n, int *all)
{
    int *warp_sums = (int *)shared_memory(), lane = threadIdx.x % LANES, warp = threadIdx.x / LANES, sum = n;
    for (int lanes = 1; lanes < LANES; lanes *= 2) {
        int other = __shfl_up_sync(0xffffffffu, sum, lanes);
        sum += lane >= lanes ? other : 0;
    }
    if (lane == LANES - 1)
        warp_sums[warp] = sum;
    __syncthreads();
    int before = sum - n;
    *all = 0;
    for (int i = 0; i < PLACE_THREADS / LANES; i++) {
        before += i < warp ? warp_sums[i] : 0;
        *all += warp_sums[i];
    }
    __syncthreads();
    return before;
}

__global__ void __launch_bounds__(PLACE_THREADS) head_place_kernel(draw_work work)
{
    const view &a = work.scan;
    int n_items = 0;
    for (int first = 0; first < a.n_tiles; first += PLACE_THREADS) {
        int tile = first + threadIdx.x, all;
        int own = tile < a.n_tiles ? (work.count[tile] + ROWS - 1) / ROWS : 0;
        int item = n_items + sum_before(own, &all);
        if (tile < a.n_tiles)
            work.first_item[tile] = item;
        for (int i = 0; i < own; i++)
            work.item_tile[item + i] = tile;
        n_items += all;
    }
    for (int item = n_items + threadIdx.x; item < work.n_items; item += PLACE_THREADS)
        work.item_tile[item] = -1;
    __syncthreads();
    for (int row = threadIdx.x; row < a.rows; row += PLACE_THREADS)
        if (work.tile[row] >= 0)
            work.item_rows[work.first_item[work.tile[row]] * ROWS + work.slot[row]] = row;
}

/* The column in which the running sum of values * unit passes target. */
__device__ inline int walk_columns(const float *values, double unit, double target)
{
    double before = 0;
    int found = 0;
    for (int column = 0; column < TILE; column++) {
        if (values[column] <= 0)
            continue;
        found = column;
        before = __dadd_rn(before, __dmul_rn(values[column], unit));
        if (before > target)
            break;
    }
    return found;
}

__device__ inline float group_max_of(const draw_work &work, int row)
{
    int group = work.choice[row].group - work.first_group;
    return work.scan.groups[(int64_t)group * work.scan.rows + row].max;
}

/* Eight lanes have a row. They write its logits and then their exp into shared memory. */
__device__ inline float open_row(const view &a, int tile, int row, float *logits, float *values)
{
    row_part bias = lane_bias(a, tile), part = row_logits(a, tile, row, logits, bias, NULL);
    float max = row_max(part);
#pragma unroll
    for (int i = 0; i < PART; i++)
        logits[column_of(i)] = part.v[i];
    row_exp(part, max);
#pragma unroll
    for (int i = 0; i < PART; i++)
        values[column_of(i)] = part.v[i];
    return max;
}

template <class Product> __global__ void __launch_bounds__(THREADS) head_draw_kernel(draw_work work)
{
    static_assert(Product::Shape::ROWS == ROWS && (int)ROWS == (int)ROWS_AT_ONCE,
                  "a row for every eight threads");
    const view &a = work.scan;
    int tile = work.item_tile[blockIdx.x];
    if (tile < 0)
        return;
    int skipped = (blockIdx.x - work.first_item[tile]) * ROWS;
    rows rows = {work.item_rows, (int)blockIdx.x * ROWS, min(ROWS, work.count[tile] - skipped)};
    float *logits = Product::product(a, rows, tile),
          *values = (float *)(shared_memory() + Product::Shape::BYTES);
    int i = threadIdx.x / ROW_LANES, row = rows[min(i, rows.n - 1)]; /* lanes without a row keep step */
    float max = open_row(a, tile, row, logits + i * LOGITS_LD, values + i * LOGITS_LD);
    __syncwarp();
    if (i >= rows.n || threadIdx.x % ROW_LANES != 0)
        return;
    double unit = exp((double)max - (double)group_max_of(work, row));
    int column = walk_columns(values + i * LOGITS_LD, unit, work.target[row]);
    work.drawn[row] = {a.first_column + tile * TILE + column, logits[i * LOGITS_LD + column]};
}

template <class Product> static cudaError_t launch_draw(struct device *device, const draw_work &work)
{
    return launch(head_draw_kernel<Product>, dim3((unsigned)work.n_items), dim3(THREADS),
                  Product::Shape::BYTES + ROWS * LOGITS_LD * sizeof(float), device->stream, work);
}

static cudaError_t launch_any(struct device *device, const draw_work &work)
{
    if (device->precision == PRECISION_F32)
        return launch_draw<by_float32>(device, work);
    return rows_begin_on_16_bytes(work.scan) ? launch_draw<by_tensor_cores<small, by_chunk>>(device, work)
                                             : launch_draw<by_tensor_cores<small, by_element>>(device, work);
}

/* Divides the scratch among the arrays. Returns the bytes up to the end; with scratch NULL it only
 * counts. */
static size_t cut(draw_work *work, char *scratch, size_t rows, size_t n_tiles)
{
    size_t n_items = rows / ROWS + n_tiles;
    work->n_items = (int)(n_items < rows ? n_items : rows);
    work->target = (double *)scratch;
    work->tile = (int32_t *)(scratch + rows * sizeof(double));
    work->slot = work->tile + rows;
    work->count = work->slot + rows;
    work->first_item = work->count + n_tiles;
    work->item_tile = work->first_item + n_tiles;
    work->item_rows = work->item_tile + n_items;
    return rows * sizeof(double) + (2 * rows + 2 * n_tiles + n_items * (1 + ROWS)) * sizeof(int32_t);
}

static void run(struct device *device, const draw_work &work)
{
    const view &a = work.scan;
    if (a.n_tiles > 0 &&
        !device_check(device,
                      cudaMemsetAsync(work.count, 0, (size_t)a.n_tiles * sizeof(int32_t), device->stream),
                      "head_draw, clearing"))
        return;
    unsigned blocks = (unsigned)divide_up(a.rows, FIND_THREADS);
    if (!device_check(device,
                      launch(head_find_kernel, dim3(blocks), dim3(FIND_THREADS), 0, device->stream, work),
                      "head_draw, tiles") ||
        a.n_tiles == 0)
        return;
    if (device_check(device,
                     launch(head_place_kernel, dim3(1), dim3(PLACE_THREADS),
                            PLACE_THREADS / LANES * sizeof(int), device->stream, work),
                     "head_draw, places"))
        device_check(device, launch_any(device, work), "head_draw");
}
} // namespace head_draws

extern "C" size_t head_draw_scratch_bytes(const struct device_options *options, enum precision precision)
{
    head_draws::draw_work unused = {};
    (void)precision;
    return head_draws::cut(&unused, NULL, (size_t)options->max_rows, head_draws::TILES_MAX);
}

extern "C" void cuda_head_draw(struct device *device, const struct head_draw *op)
{
    if (!device_accepts(device, "head_draw", op->scan.rows, op->scan.weight->n_in) ||
        !head::weight_fits(device, "head_draw", &op->scan) || op->scan.rows == 0)
        return;
    head_draws::draw_work work = {};
    work.scan = head::view_of(&op->scan);
    work.first_group = op->first_group, work.choice = op->choice, work.drawn = op->drawn;
    size_t rows = (size_t)work.scan.rows, n_tiles = (size_t)work.scan.n_tiles;
    char *scratch = (char *)device_scratch(device, "head_draw", head_draws::cut(&work, NULL, rows, n_tiles));
    if (scratch == NULL)
        return;
    head_draws::cut(&work, scratch, rows, n_tiles);
    head_draws::run(device, work);
}
