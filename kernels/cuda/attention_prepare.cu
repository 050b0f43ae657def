#include "kernels/cuda/attention.cuh"

/*
 * Prepares an attention by tensor cores: writes the list of its blocks and the rotated keys. One launch does
 * both. It has a block for every ROWS rows of every sequence, as if all sequences were as long as the
 * longest; blocks without rows return at once. The first block of each sequence places the sequence in the
 * list.
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

__device__ inline int items_of(const struct attention_plan &plan, int sequence)
{
    const struct attention &op = plan.op;
    int n_queries = op.query_start[sequence + 1] - op.query_start[sequence];
    bool has_keys = op.key_start[sequence + 1] > op.key_start[sequence];
    return has_keys ? (n_queries + plan.block_queries - 1) / plan.block_queries : 0;
}

/* The sequence's place is after all longer ones, and after equal ones with smaller numbers. */
__device__ static void list_items(const struct attention_plan &plan, int sequence)
{
    const struct attention &op = plan.op;
    int n_keys = op.key_start[sequence + 1] - op.key_start[sequence], n_items = items_of(plan, sequence);
    struct pair_of_sums sums = {0, 0};
    for (int other = threadIdx.x; other < op.n_sequences; other += THREADS) {
        int others = op.key_start[other + 1] - op.key_start[other], n = items_of(plan, other);
        sums.all += n;
        sums.before += others > n_keys || (others == n_keys && other < sequence) ? n : 0;
    }
    sums = block_sums(sums);
    for (int i = threadIdx.x; i < n_items; i += THREADS)
        plan.items[sums.before + i] = {sequence, sums.before};
    for (int i = sums.all + threadIdx.x; sequence == 0 && i < plan.n_items; i += THREADS)
        plan.items[i] = {-1, 0};
}

__device__ static void rotate_keys(const struct attention_plan &plan, int first_row, int first_position,
                                   int n_rows)
{
    const struct attention &op = plan.op;
    int half = op.head_size / 2, per_head = half / 4, per_row = op.n_heads * per_head;
    int64_t width = (int64_t)op.n_heads * op.head_size;
    for (int i = threadIdx.x; i < n_rows * per_row; i += THREADS) {
        int row = i / per_row, head = i % per_row / per_head, element = i % per_head * 4;
        int64_t key = first_row + row;
        rotate<4>((const __nv_bfloat16 *)op.k + key * op.ld_kv + head * op.head_size,
                  op.rotary + (int64_t)(first_position + row) * op.head_size, element, half,
                  plan.keys + key * width + head * op.head_size);
    }
}

__global__ void __launch_bounds__(THREADS) attention_prepare_kernel(struct attention_plan plan, int n_chunks)
{
    int sequence = blockIdx.x / n_chunks, position = blockIdx.x % n_chunks * ROWS;
    int first_key = plan.op.key_start[sequence], n_keys = plan.op.key_start[sequence + 1] - first_key;
    if (position == 0)
        list_items(plan, sequence);
    if (position < n_keys)
        rotate_keys(plan, first_key + position, position, min(ROWS, n_keys - position));
}
} // namespace attention_prepares

using namespace attention_prepares;

cudaError_t attention_prepare(struct device *device, const struct attention_plan *plan)
{
    int n_chunks = max(1, divide_up(plan->op.longest, ROWS));
    return launch(attention_prepare_kernel, dim3((unsigned)(plan->op.n_sequences * n_chunks)), dim3(THREADS),
                  2 * THREADS / LANES * sizeof(int), device->stream, *plan, n_chunks);
}
