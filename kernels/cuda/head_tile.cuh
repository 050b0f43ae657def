#ifndef MILLRACE_KERNELS_CUDA_HEAD_TILE_CUH
#define MILLRACE_KERNELS_CUDA_HEAD_TILE_CUH

#include <math.h>

#include "kernels/cuda/device.h"
#include "kernels/cuda/stage.cuh"
#include "kernels/cuda/vector.cuh"

/*
 * One vocabulary tile of the head for a set of rows. head_scan and head_draw share this code, so that both
 * see the same bits.
 *
 *   raw[rows, VOCABULARY_TILE] = x · w^T        tensor cores or float32 (tile_product); into shared memory
 *   logits = (raw + bias) * inverse_temperature  eight lanes have a row, 16 columns each (row_part)
 *   {max, Σ exp(logits - max)}
 *
 * Why the bits are the same whatever rows a block has, and in the draw as in the scan: an element of raw is
 * one chain of mma over k in steps of 16 from 0 up (of fma over k in float32), in every instance of
 * tile_product; zeros stand for rows and columns that are not there, and no element of an mma enters
 * another's sum. From shared memory on there is one code for all, with intrinsics where a compiler could
 * fuse, and one order: a lane's columns ascending, then the eight lanes as a tree.
 */
namespace head
{
using namespace stage;

enum { WARPS = 4, THREADS = WARPS * LANES, TILE = VOCABULARY_TILE };
enum { STAGES = 4 };           /* steps that are under way */
enum { LOGITS_LD = TILE + 8 }; /* so that an mma's rows are stored to different banks */
enum { ROW_LANES = 8, ROWS_AT_ONCE = THREADS / ROW_LANES, PART = TILE / ROW_LANES };

/* struct head_scan as kernels need it. */
struct view {
    const void *x, *w;
    int64_t ld_w;
    int rows, n_in, n_out, n_tiles;
    const float *bias;
    int32_t first_column;
    int n_groups;
    const int32_t *group_column;
    const float *inverse_temperature;
    const int32_t *left_out;
    struct exp_sum *tiles, *groups;
    float *left_out_logit;
};

/* ROWS rows by WARP_ROWS x WARP_COLUMNS warps. */
template <int ROWS_, int WARP_ROWS_, int WARP_COLUMNS_> struct shape {
    static const int ROWS = ROWS_, WARP_ROWS = WARP_ROWS_, WARP_COLUMNS = WARP_COLUMNS_;
    static const int M = ROWS / WARP_ROWS / 16, N = TILE / WARP_COLUMNS / 8; /* mma tiles of a warp */
    static const int STAGE_BYTES = (ROWS + TILE) * DEPTH * 2;
    static const size_t LOGITS_BYTES = ROWS * LOGITS_LD * sizeof(float), STAGES_BYTES = STAGES * STAGE_BYTES;
    static const size_t BYTES =
        LOGITS_BYTES > STAGES_BYTES ? LOGITS_BYTES : STAGES_BYTES; /* one after the other */
};
typedef shape<128, 2, 2> large;
typedef shape<64, 1, 4> medium;
typedef shape<16, 1, 4> small;

/* Rows first ... first + n - 1 of x, or those of a list. */
struct rows {
    const int32_t *list; /* NULL: none */
    int first, n;
    __device__ inline int operator[](int i) const
    {
        return i >= n ? -1 : list != NULL ? list[first + i] : first + i;
    }
};

/* Ways to bring 8 elements of row `row` of a matrix, from k on, there; zeros after n and for row -1. */
struct by_chunk { /* rows begin on 16 bytes */
    __device__ static inline void load(unsigned char *to, const __nv_bfloat16 *matrix, int64_t ld, int row,
                                       int k, int n)
    {
        bool there = row >= 0 && k < n;
        copy_async_16(to, there ? matrix + row * ld + k : matrix, there ? 16 : 0);
    }
};
struct by_element {
    __device__ static inline void load(unsigned char *to, const __nv_bfloat16 *matrix, int64_t ld, int row,
                                       int k, int n)
    {
        const uint16_t *from = (const uint16_t *)matrix + row * ld + k;
        uint32_t word[4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
            uint32_t low = row >= 0 && k + 2 * i < n ? from[2 * i] : 0;
            uint32_t high = row >= 0 && k + 2 * i + 1 < n ? from[2 * i + 1] : 0;
            word[i] = low | high << 16;
        }
        *(uint4 *)to = make_uint4(word[0], word[1], word[2], word[3]);
    }
};

/* DEPTH columns of the rows of x, then of the tile's rows of w, which are zeros from n_in to ld_w (a multiple
 * of 16). */
template <class Shape, class How>
__device__ inline void load_step(const view &a, const rows &rows, int tile, int k, unsigned char *stage)
{
    const __nv_bfloat16 *x = (const __nv_bfloat16 *)a.x, *w = (const __nv_bfloat16 *)a.w;
    /* Counts that the compiler knows: it then unrolls, and keeps each thread's addresses over the steps. */
#pragma unroll
    for (int turn = 0; turn < (Shape::ROWS * CHUNKS + THREADS - 1) / THREADS; turn++) {
        int i = threadIdx.x + turn * THREADS;
        if (Shape::ROWS * CHUNKS % THREADS == 0 || i < Shape::ROWS * CHUNKS)
            How::load(chunk_at(stage, i / CHUNKS, i % CHUNKS), x, a.n_in, rows[i / CHUNKS],
                      k + i % CHUNKS * 8, a.n_in);
    }
    stage += Shape::ROWS * DEPTH * 2;
#pragma unroll
    for (int turn = 0; turn < TILE * CHUNKS / THREADS; turn++) {
        int i = threadIdx.x + turn * THREADS, column = tile * TILE + i / CHUNKS;
        by_chunk::load(chunk_at(stage, i / CHUNKS, i % CHUNKS), w, a.ld_w, column < a.n_out ? column : -1,
                       k + i % CHUNKS * 8, a.n_in);
    }
}

template <class Shape>
__device__ inline void store_raw(const float (&sum)[Shape::M][Shape::N][4], int warp_row, int warp_column,
                                 float *raw)
{
    int lane = threadIdx.x % LANES;
#pragma unroll
    for (int m = 0; m < Shape::M; m++)
#pragma unroll
        for (int n = 0; n < Shape::N; n++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                int row = warp_row + m * 16 + half * 8 + lane / 4,
                    column = warp_column + n * 8 + lane % 4 * 2;
                *(float2 *)(raw + row * LOGITS_LD + column) =
                    make_float2(sum[m][n][half * 2], sum[m][n][half * 2 + 1]);
            }
}

/* raw[ROWS, LOGITS_LD] = x · w^T of the tile, in the block's shared memory (Shape::BYTES), seen by all
 * threads. */
template <class Shape_, class How> struct by_tensor_cores {
    typedef Shape_ Shape;
    __device__ static inline float *product(const view &a, const rows &rows, int tile)
    {
        unsigned char *stages = shared_memory();
        int warp = threadIdx.x / LANES, n_steps = (a.n_in + DEPTH - 1) / DEPTH;
        int warp_row = warp / Shape::WARP_COLUMNS * (Shape::M * 16);
        int warp_column = warp % Shape::WARP_COLUMNS * (Shape::N * 8);
        float sum[Shape::M][Shape::N][4] = {};
        for (int step = 0; step < STAGES - 1; step++) {
            if (step < n_steps)
                load_step<Shape, How>(a, rows, tile, step * DEPTH, stages + step * Shape::STAGE_BYTES);
            copy_async_commit();
        }
        for (int step = 0; step < n_steps; step++) {
            copy_async_wait<STAGES - 2>();
            __syncthreads();
            int ahead = step + STAGES - 1;
            if (ahead < n_steps)
                load_step<Shape, How>(a, rows, tile, ahead * DEPTH,
                                      stages + ahead % STAGES * Shape::STAGE_BYTES);
            copy_async_commit();
            multiply_step<Shape>(stages + step % STAGES * Shape::STAGE_BYTES, warp_row, warp_column, sum);
        }
        copy_async_wait<0>();
        __syncthreads(); /* the last stage is read; its place becomes the logits' */
        store_raw<Shape>(sum, warp_row, warp_column, (float *)stages);
        __syncthreads();
        return (float *)stages;
    }
};

/* The same in float32, for parity tests: a thread has a column, and reads its row of w from global memory. */
struct by_float32 {
    typedef small Shape;
    __device__ static inline float *product(const view &a, const rows &rows, int tile)
    {
        float *raw = (float *)shared_memory(), *x_tile = raw; /* [ROWS, DEPTH], before raw is written */
        int column = tile * TILE + threadIdx.x;
        const float *x = (const float *)a.x, *w = (const float *)a.w + column * a.ld_w;
        float sum[Shape::ROWS] = {};
        for (int k = 0; k < a.n_in; k += DEPTH) {
            for (int i = threadIdx.x; i < Shape::ROWS * DEPTH; i += THREADS) {
                int row = rows[i / DEPTH], at = k + i % DEPTH;
                x_tile[i] = row >= 0 && at < a.n_in ? x[(int64_t)row * a.n_in + at] : 0;
            }
            __syncthreads();
            for (int i = 0; column < a.n_out && i < min(DEPTH, a.n_in - k); i++) {
                float factor = w[k + i];
#pragma unroll
                for (int row = 0; row < Shape::ROWS; row++)
                    sum[row] = __fmaf_rn(x_tile[row * DEPTH + i], factor, sum[row]);
            }
            __syncthreads();
        }
#pragma unroll
        for (int row = 0; row < Shape::ROWS; row++)
            raw[row * LOGITS_LD + threadIdx.x] = sum[row];
        __syncthreads();
        return raw;
    }
};

/* This lane's columns of a row: column_of(i) of the tile, i < PART. */
struct row_part {
    float v[PART];
};

__device__ inline int column_of(int i)
{
    return i / 4 * (4 * ROW_LANES) + threadIdx.x % ROW_LANES * 4 + i % 4;
}

/* The bias of this lane's columns; 0 after the last. A block reads it once for all its rows. */
__device__ inline row_part lane_bias(const view &a, int tile)
{
    row_part bias;
#pragma unroll
    for (int i = 0; i < PART; i++) {
        int column = tile * TILE + column_of(i);
        bias.v[i] = column < a.n_out ? a.bias[column] : 0;
    }
    return bias;
}

/* Turns raw products into logits. The logit is -INFINITY where the row's sums leave a column out: at its
 * left-out token, and at columns after the last. The left-out token's logit goes to *taken when this lane has
 * it; taken may be NULL. Four columns are read at a time: eight lanes then read 128 bytes that follow each
 * other, in different banks. */
__device__ inline row_part row_logits(const view &a, int tile, int row, const float *raw,
                                      const row_part &bias, float *taken)
{
    float temperature = a.inverse_temperature[row], kept = 0;
    int32_t left_out = a.left_out[row] < 0 ? -1 : a.left_out[row] - a.first_column;
    bool has_left_out = false;
    row_part part;
#pragma unroll
    for (int i = 0; i < PART; i += 4) {
        floats<4> four = load_floats<4>(raw + column_of(i));
#pragma unroll
        for (int j = 0; j < 4; j++) {
            int column = tile * TILE + column_of(i + j);
            bool there = column < a.n_out, taken_here = there && column == left_out;
            float logit = __fmul_rn(__fadd_rn(four.v[j], bias.v[i + j]), temperature);
            kept = taken_here ? logit : kept;
            has_left_out |= taken_here;
            part.v[i + j] = there && !taken_here ? logit : -INFINITY;
        }
    }
    if (has_left_out && taken != NULL)
        *taken = kept;
    return part;
}

/* The largest logit of a row, the same in its eight lanes. NaN is ignored. */
__device__ inline float row_max(const row_part &part)
{
    float max = -INFINITY;
#pragma unroll
    for (int i = 0; i < PART; i++)
        max = fmaxf(max, part.v[i]);
    for (int lanes = 1; lanes < ROW_LANES; lanes *= 2)
        max = fmaxf(max, __shfl_xor_sync(0xffffffffu, max, lanes));
    return max;
}

/* Sets part to exp(part - max), and to 0 where a column is left out. Returns the row's sum, the same in its
 * eight lanes. A logit that is NaN makes the sum NaN. */
__device__ inline float row_exp(row_part &part, float max)
{
    float sum = 0;
#pragma unroll
    for (int i = 0; i < PART; i++) {
        float power = __fmul_rn(__fsub_rn(part.v[i], max), 1.4426950408889634f);
        part.v[i] = part.v[i] == -INFINITY ? 0 : exp2_fast(power);
        sum = __fadd_rn(sum, part.v[i]);
    }
    for (int lanes = 1; lanes < ROW_LANES; lanes *= 2)
        sum = __fadd_rn(sum, __shfl_xor_sync(0xffffffffu, sum, lanes));
    return sum;
}

/* The kernels' view of an operation, and whether rows of x begin on 16 bytes. */
inline view view_of(const struct head_scan *op)
{
    view a = {};
    a.x = op->x, a.w = op->weight->data, a.ld_w = op->weight->ld;
    a.rows = op->rows, a.n_in = op->weight->n_in, a.n_out = op->weight->n_out;
    a.n_tiles = divide_up(op->weight->n_out, TILE);
    a.bias = op->bias, a.first_column = op->first_column;
    a.n_groups = op->n_groups, a.group_column = op->group_column;
    a.inverse_temperature = op->inverse_temperature, a.left_out = op->left_out;
    a.tiles = op->tiles, a.groups = op->groups, a.left_out_logit = op->left_out_logit;
    return a;
}

inline bool rows_begin_on_16_bytes(const view &a)
{
    return (uintptr_t)a.x % 16 == 0 && a.n_in % 8 == 0;
}

/* True when the head's weight is bf16 or float32, which it is on a device for fp8 too (docs/cuda.md).
 * Otherwise keeps a failure. */
inline bool weight_fits(struct device *device, const char *operation, const struct head_scan *op)
{
    enum weight_format wanted = device->precision == PRECISION_F32 ? WEIGHT_F32 : WEIGHT_BF16;
    if (op->weight->format == wanted || op->weight->n_out == 0)
        return true;
    failure_keep(&device->failure, STATUS_INVALID_ARGUMENT, "%s: the weight is not made for WEIGHT_HEAD",
                 operation);
    return false;
}
} // namespace head

#endif
