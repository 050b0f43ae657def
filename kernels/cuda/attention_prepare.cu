#include "kernels/cuda/attention.cuh"

/*
 * Prepares an attention by tensor cores: writes the list of its blocks, the rotated keys and the rotated
 * queries. One launch does it all. A sequence has no more queries than keys. It has a block for every ROWS
 * rows of every sequence, as if all sequences were as long as the longest; blocks without rows return at
 * once. The first block of each sequence places the sequence in the list.
 */
namespace attention_prepares
{
enum { THREADS = 256, LANES = 32, ROWS = 16 };

struct pair_of_sums {
    int before, all;
};

/* Sums over the block's threads, the same in every thread. */
__device__ static struct pair_of_sums block_sums(struct pair_of_sums own)
{
    int *partial = (int *)shared_memory(), warp = threadIdx.x / LANES;
    for (int distance = LANES / 2; distance > 0; distance /= 2) {
        own.before += __shfl_xor_sync(0xffffffffu, own.before, distance);
        own.all += __shfl_xor_sync(0xffffffffu, own.all, distance);
    }
    if (threadIdx.x % LANES == 0)
        partial[2 * warp] = own.before, partial[2 * warp + 1] = own.all;
    __syncthreads();
    own.before = own.all = 0;
    for (int i = 0; i < THREADS / LANES; i++)
        own.before += partial[2 * i], own.all += partial[2 * i + 1];
    return own;
}

__device__ inline int items_of(const struct attention_work &work, int sequence)
{
    const struct attention &op = work.op;
    int n_queries = op.query_start[sequence + 1] - op.query_start[sequence];
    bool has_keys = op.key_start[sequence + 1] > op.key_start[sequence];
    return has_keys ? (n_queries + work.block_queries - 1) / work.block_queries : 0;
}

/* The sequence's place is after all longer ones, and after equal ones with smaller numbers. */
__device__ static void list_items(const struct attention_work &work, int sequence)
{
    const struct attention &op = work.op;
    int n_keys = op.key_start[sequence + 1] - op.key_start[sequence], n_items = items_of(work, sequence);
    struct pair_of_sums sums = {0, 0};
    for (int other = threadIdx.x; other < op.n_sequences; other += THREADS) {
        int others = op.key_start[other + 1] - op.key_start[other], n = items_of(work, other);
        sums.all += n;
        sums.before += others > n_keys || (others == n_keys && other < sequence) ? n : 0;
    }
    sums = block_sums(sums);
    for (int i = threadIdx.x; i < n_items; i += THREADS)
        work.items[sums.before + i] = {sequence, sums.before};
    for (int i = sums.all + threadIdx.x; sequence == 0 && i < work.n_items; i += THREADS)
        work.items[i] = {-1, 0};
}

/* One row by one warp: a lane rotates 8 elements at a time, 4 of each half. */
__device__ inline void rotate_row(const struct attention &op, const __nv_bfloat16 *row, int position,
                                  __nv_bfloat16 *to)
{
    unsigned half = op.head_size / 2, per_head = half / 4, per_row = op.n_heads * per_head;
    const float *rotary = op.rotary + (int64_t)position * op.head_size;
    for (unsigned i = threadIdx.x % LANES; i < per_row; i += LANES) {
        unsigned head = i / per_head, element = (i - head * per_head) * 4;
        rotate<4>(row + head * op.head_size, rotary, element, half, to + head * op.head_size);
    }
}

/* This block's part of a sequence's keys and queries: those with numbers first ... first + ROWS - 1. */
__device__ static void rotate_rows(const struct attention_work &work, int sequence, int first)
{
    const struct attention &op = work.op;
    int64_t width = (int64_t)op.n_heads * op.head_size;
    int first_key = op.key_start[sequence], n_keys = op.key_start[sequence + 1] - first_key;
    int first_query = op.query_start[sequence], n_queries = op.query_start[sequence + 1] - first_query;
    for (int i = first + threadIdx.x / LANES; i < first + ROWS; i += THREADS / LANES) {
        int64_t key = first_key + i, query = first_query + i;
        if (i < n_keys)
            rotate_row(op, (const __nv_bfloat16 *)op.k + key * op.ld_kv, i, work.keys + key * width);
        if (i < n_queries)
            rotate_row(op, (const __nv_bfloat16 *)op.q + query * op.ld_q, op.query_position[query],
                       work.queries + query * width);
    }
}

__global__ void __launch_bounds__(THREADS) attention_prepare_kernel(struct attention_work work, int n_chunks)
{
    int sequence = blockIdx.x / n_chunks, first = blockIdx.x % n_chunks * ROWS;
    if (first == 0)
        list_items(work, sequence);
    rotate_rows(work, sequence, first);
}
} // namespace attention_prepares

using namespace attention_prepares;

cudaError_t attention_prepare(struct device *device, const struct attention_work *work)
{
    int n_chunks = max(1, divide_up(work->op.longest, ROWS));
    return launch(attention_prepare_kernel, dim3((unsigned)(work->op.n_sequences * n_chunks)), dim3(THREADS),
                  2 * THREADS / LANES * sizeof(int), device->stream, *work, n_chunks);
}
