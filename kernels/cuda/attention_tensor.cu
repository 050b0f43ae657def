#include <math.h>

#include "kernels/cuda/attention.cuh"

/*
 * Attention by tensor cores, after FlashAttention-2 (Dao, arXiv 2307.08691). A block has up to QUERIES
 * queries of one sequence and head and walks the sequence's keys from the first on, KEYS at a time. A warp
 * has M tiles of 16 queries to itself, so the softmax needs no other warp:
 *
 *   scores[16, KEYS] = Q · K^T      in registers, as mma leaves them: a row in the same four lanes
 *   new max, p = exp(scores - max)  the sums and outputs so far shrink by exp(old max - new max)
 *   o[16, D] += p · V               p stays in registers between the two products, as bf16
 *
 * While a tile is used the next one is on its way (cp.async, two stages). Rows of shared memory are padded by
 * 16 bytes: the eight rows that ldmatrix reads at once then lie in different banks, since D / 8 + 1 is odd.
 * Dimensions from head_size to D, and keys after the last, are zeros.
 *
 * A query's bits depend on its sequence and D alone: tiles of keys begin at the sequence's first, a lane adds
 * its own columns in order, four lanes in one tree; nothing depends on the query's place in the block, on
 * QUERIES, or on other sequences. So that two instances cannot differ by what the compiler fuses, sums and
 * products that it could fuse are written as intrinsics.
 *
 * On an H100: 64 keys x 64 dimensions cost a warp with M = 2 128 mma, 40 ldmatrix and about 64 exp a lane:
 * mma.sync bound. Registers allow two blocks of 4 warps on a multiprocessor. Expected, not measured: 35 to 45
 * % of the dense bf16 peak (docs/cuda.md says why).
 */
namespace attention_by_tensor_cores
{
enum { WARPS = 4, LANES = 32, THREADS = WARPS * LANES, STAGES = 2 };

template <int D_, int M_> struct shape {
    static const int D = D_, M = M_, KEYS = D_ <= 64 ? 64 : 32, QUERIES = WARPS * M_ * 16;
    static const int ROW = D_ + 8, TILE = KEYS * ROW; /* in elements */
    static const size_t BYTES = (QUERIES + STAGES * 2 * KEYS) * ROW * sizeof(__nv_bfloat16);
};

/* What this block has. */
struct share {
    int head, first_query, n_queries, first_key, n_keys;
};

template <class S> struct sums {
    float o[S::M][S::D / 8][4];
    float max[S::M][2], sum[S::M][2]; /* of rows lane / 4 and lane / 4 + 8; sum: of this lane's columns */
};

template <class S> __device__ inline bool find_share(const struct attention_work &work, struct share *share)
{
    const struct attention &op = work.op;
    struct attention_item item = work.items[blockIdx.x / op.n_heads];
    if (item.sequence < 0)
        return false;
    int first_query = op.query_start[item.sequence],
        n_queries = op.query_start[item.sequence + 1] - first_query;
    int n_blocks = (n_queries + S::QUERIES - 1) / S::QUERIES, part = blockIdx.x - item.first * op.n_heads;
    int skipped = part % n_blocks * S::QUERIES;
    share->head = part / n_blocks; /* blocks that share keys follow each other */
    share->first_query = first_query + skipped;
    share->n_queries = min(S::QUERIES, n_queries - skipped);
    share->first_key = op.key_start[item.sequence];
    share->n_keys = op.key_start[item.sequence + 1] - share->first_key;
    return true;
}

/* Starts the copies of ROWS rows of one head, of `matrix` + row `first` on; zeros for rows from n_rows on.
 * The count is known to the compiler, so it unrolls and keeps each thread's places over the tiles. */
template <class S, int ROWS>
__device__ inline void load_rows(const struct attention &op, const __nv_bfloat16 *matrix, int64_t ld,
                                 int first, int n_rows, __nv_bfloat16 *tile)
{
    const int per_row = S::D / 8, n = ROWS * per_row;
#pragma unroll
    for (int turn = 0; turn < (n + THREADS - 1) / THREADS; turn++) {
        int i = threadIdx.x + turn * THREADS, row = i / per_row, element = i % per_row * 8;
        bool there = first + row < n_rows && element < op.head_size;
        if (n % THREADS == 0 || i < n)
            copy_async_16(tile + row * S::ROW + element,
                          there ? matrix + (first + row) * ld + element : matrix, there ? 16 : 0);
    }
}

template <class S>
__device__ inline void load_queries(const struct attention_work &work, const struct share &share,
                                    __nv_bfloat16 *tile)
{
    int64_t width = (int64_t)work.op.n_heads * work.op.head_size;
    load_rows<S, S::QUERIES>(work.op,
                             work.queries + share.first_query * width + share.head * work.op.head_size, width,
                             0, share.n_queries, tile);
}

/* KEYS rows of one matrix, from row `first` of the sequence on. */
template <class S>
__device__ inline void load_tile(const struct attention &op, const struct share &share,
                                 const __nv_bfloat16 *matrix, int64_t ld, int first, __nv_bfloat16 *tile)
{
    load_rows<S, S::KEYS>(op, matrix + share.first_key * ld + share.head * op.head_size, ld, first,
                          share.n_keys, tile);
}

template <class S>
__device__ inline void load_stage(const struct attention_work &work, const struct share &share, int block,
                                  __nv_bfloat16 *stages)
{
    __nv_bfloat16 *keys = stages + block % STAGES * 2 * S::TILE;
    int64_t width = (int64_t)work.op.n_heads * work.op.head_size;
    if (block * S::KEYS < share.n_keys) {
        load_tile<S>(work.op, share, work.keys, width, block * S::KEYS, keys);
        load_tile<S>(work.op, share, (const __nv_bfloat16 *)work.op.v, work.op.ld_kv, block * S::KEYS,
                     keys + S::TILE);
    }
    copy_async_commit();
}

template <class S>
__device__ inline void multiply_keys(const __nv_bfloat16 *queries, const __nv_bfloat16 *keys,
                                     float (&score)[S::M][S::KEYS / 8][4])
{
    int lane = threadIdx.x % LANES;
    const __nv_bfloat16 *query = queries + lane % 16 * S::ROW + lane / 16 * 8;
    const __nv_bfloat16 *key = keys + (lane / 16 * 8 + lane % 8) * S::ROW + lane / 8 % 2 * 8;
#pragma unroll
    for (int d = 0; d < S::D; d += 16) {
        uint32_t q[S::M][4];
#pragma unroll
        for (int m = 0; m < S::M; m++)
            load_matrix_x4(q[m], query + m * 16 * S::ROW + d);
#pragma unroll
        for (int n = 0; n < S::KEYS / 16; n++) {
            uint32_t k[4];
            load_matrix_x4(k, key + n * 16 * S::ROW + d);
            const uint32_t low[2] = {k[0], k[1]}, high[2] = {k[2], k[3]};
#pragma unroll
            for (int m = 0; m < S::M; m++) {
                mma_bf16(score[m][2 * n], q[m], low);
                mma_bf16(score[m][2 * n + 1], q[m], high);
            }
        }
    }
}

/* Keys after the sequence's last count for nothing. */
template <class S> __device__ inline void mask(int n_keys_left, float (&score)[S::M][S::KEYS / 8][4])
{
    int column = threadIdx.x % 4 * 2;
#pragma unroll
    for (int m = 0; m < S::M; m++)
#pragma unroll
        for (int n = 0; n < S::KEYS / 8; n++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                if (n * 8 + column + i % 2 >= n_keys_left)
                    score[m][n][i] = -INFINITY;
}

/* score = exp(score * scale - max); scale has the logarithm of 2 in it. */
template <class S>
__device__ inline void soften(float scale, float (&score)[S::M][S::KEYS / 8][4], struct sums<S> &sums)
{
#pragma unroll
    for (int m = 0; m < S::M; m++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            float before = sums.max[m][half], largest = before, sum = 0;
#pragma unroll
            for (int n = 0; n < S::KEYS / 8; n++)
                largest = fmaxf(largest, fmaxf(score[m][n][half * 2], score[m][n][half * 2 + 1]));
            largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, 1));
            largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, 2));
            float shrink = exp2_fast(__fmul_rn(__fsub_rn(before, largest), scale)),
                  shift = __fmul_rn(largest, scale);
#pragma unroll
            for (int n = 0; n < S::KEYS / 8; n++)
#pragma unroll
                for (int i = half * 2; i < half * 2 + 2; i++) {
                    score[m][n][i] = exp2_fast(__fmaf_rn(score[m][n][i], scale, -shift));
                    sum = __fadd_rn(sum, score[m][n][i]);
                }
            sums.max[m][half] = largest;
            sums.sum[m][half] = __fmaf_rn(sums.sum[m][half], shrink, sum);
#pragma unroll
            for (int n = 0; n < S::D / 8; n++)
#pragma unroll
                for (int i = half * 2; i < half * 2 + 2; i++)
                    sums.o[m][n][i] = __fmul_rn(sums.o[m][n][i], shrink);
        }
}

__device__ inline uint32_t pair_of(float low, float high)
{
    __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    uint32_t bits;
    memcpy(&bits, &pair, sizeof bits);
    return bits;
}

template <class S>
__device__ inline void multiply_values(const float (&p)[S::M][S::KEYS / 8][4], const __nv_bfloat16 *values,
                                       struct sums<S> &sums)
{
    int lane = threadIdx.x % LANES;
    const __nv_bfloat16 *value = values + lane % 16 * S::ROW + lane / 16 * 8;
#pragma unroll
    for (int k = 0; k < S::KEYS / 16; k++) {
        uint32_t a[S::M][4];
#pragma unroll
        for (int m = 0; m < S::M; m++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                a[m][i] = pair_of(p[m][2 * k + i / 2][i % 2 * 2], p[m][2 * k + i / 2][i % 2 * 2 + 1]);
#pragma unroll
        for (int n = 0; n < S::D / 16; n++) {
            uint32_t v[4];
            load_matrix_x4_transposed(v, value + k * 16 * S::ROW + n * 16);
            const uint32_t low[2] = {v[0], v[1]}, high[2] = {v[2], v[3]};
#pragma unroll
            for (int m = 0; m < S::M; m++) {
                mma_bf16(sums.o[m][2 * n], a[m], low);
                mma_bf16(sums.o[m][2 * n + 1], a[m], high);
            }
        }
    }
}

__device__ inline void store_outputs(__nv_bfloat16 *o, float low, float high, bool together)
{
    if (together) {
        *(__nv_bfloat162 *)o = __floats2bfloat162_rn(low, high);
        return;
    }
    o[0] = __float2bfloat16_rn(low);
    o[1] = __float2bfloat16_rn(high);
}

/* Writes o / sum for the rows of this warp that have a query. */
template <class S>
__device__ inline void write_outputs(const struct attention &op, const struct share &share, int first_row,
                                     const struct sums<S> &sums)
{
    int lane = threadIdx.x % LANES;
    bool together = op.ld_o % 2 == 0 && (uintptr_t)op.o % 4 == 0;
#pragma unroll
    for (int m = 0; m < S::M; m++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            int row = first_row + m * 16 + half * 8 + lane / 4;
            float sum = sums.sum[m][half];
            sum = __fadd_rn(sum, __shfl_xor_sync(0xffffffffu, sum, 1));
            sum = __fadd_rn(sum, __shfl_xor_sync(0xffffffffu, sum, 2));
            float factor = __frcp_rn(sum);
            __nv_bfloat16 *o = (__nv_bfloat16 *)op.o + (int64_t)(share.first_query + row) * op.ld_o +
                               share.head * op.head_size;
#pragma unroll
            for (int n = 0; n < S::D / 8; n++) {
                int element = n * 8 + lane % 4 * 2;
                if (row < share.n_queries && element < op.head_size)
                    store_outputs(o + element, __fmul_rn(sums.o[m][n][half * 2], factor),
                                  __fmul_rn(sums.o[m][n][half * 2 + 1], factor), together);
            }
        }
}

template <class S> __device__ inline void clear(struct sums<S> &sums)
{
#pragma unroll
    for (int m = 0; m < S::M; m++) {
#pragma unroll
        for (int half = 0; half < 2; half++)
            sums.max[m][half] = -INFINITY, sums.sum[m][half] = 0;
#pragma unroll
        for (int n = 0; n < S::D / 8; n++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                sums.o[m][n][i] = 0;
    }
}

/* One tile of keys for one warp. */
template <class S>
__device__ inline void attend(float scale, const __nv_bfloat16 *queries, const __nv_bfloat16 *keys,
                              int n_keys_left, struct sums<S> &sums)
{
    float score[S::M][S::KEYS / 8][4] = {};
    multiply_keys<S>(queries, keys, score);
    if (n_keys_left < S::KEYS)
        mask<S>(n_keys_left, score);
    soften<S>(scale, score, sums);
    multiply_values<S>(score, keys + S::TILE, sums);
}

template <class S>
__global__ void __launch_bounds__(THREADS, S::D <= 128 ? 2 : 1)
    attention_tensor_kernel(struct attention_work work)
{
    struct share share;
    if (!find_share<S>(work, &share))
        return;
    __nv_bfloat16 *queries = (__nv_bfloat16 *)shared_memory(), *stages = queries + S::QUERIES * S::ROW;
    int first_row = threadIdx.x / LANES * S::M * 16;
    float scale = 1.4426950408889634f / sqrtf((float)work.op.head_size);
    struct sums<S> sums;
    clear<S>(sums);
    load_queries<S>(work, share, queries); /* in one group with the first stage */
    load_stage<S>(work, share, 0, stages);
    for (int block = 0; block * S::KEYS < share.n_keys; block++) {
        load_stage<S>(work, share, block + 1, stages);
        copy_async_wait<1>();
        __syncthreads(); /* all threads see the stage, and the first time the queries too */
        if (first_row < share.n_queries)
            attend<S>(scale, queries + first_row * S::ROW, stages + block % STAGES * 2 * S::TILE,
                      share.n_keys - block * S::KEYS, sums);
        __syncthreads(); /* nobody reads it any more */
    }
    copy_async_wait<0>();
    if (first_row < share.n_queries)
        write_outputs<S>(work.op, share, first_row, sums);
}

template <class S> static cudaError_t launch_shape(struct device *device, const struct attention_work *work)
{
    return launch(attention_tensor_kernel<S>, dim3((unsigned)(work->n_items * work->op.n_heads)),
                  dim3(THREADS), S::BYTES, device->stream, *work);
}

template <int D> static cudaError_t launch_size(struct device *device, const struct attention_work *work)
{
    if constexpr (D <= 128)
        if (work->block_queries == shape<D, 2>::QUERIES)
            return launch_shape<shape<D, 2>>(device, work);
    return launch_shape<shape<D, 1>>(device, work);
}
} // namespace attention_by_tensor_cores

using namespace attention_by_tensor_cores;

cudaError_t attention_tensor(struct device *device, const struct attention_work *work)
{
    int size = work->op.head_size;
    return size <= 32    ? launch_size<32>(device, work)
           : size <= 48  ? launch_size<48>(device, work)
           : size <= 64  ? launch_size<64>(device, work)
           : size <= 80  ? launch_size<80>(device, work)
           : size <= 96  ? launch_size<96>(device, work)
           : size <= 128 ? launch_size<128>(device, work)
                         : launch_size<256>(device, work);
}
