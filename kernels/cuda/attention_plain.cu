#include <math.h>

#include "kernels/cuda/attention.cuh"

/*
 * Attention without tensor cores: float32 for parity tests, and bf16 where attention_tensor.cu does not fit.
 * A warp has one query and head. It takes KEYS keys at a time, from the sequence's first on: first each lane
 * has the score of one key, then each lane has some dimensions of o. Arithmetic is float32 throughout with
 * the exact exp; a query's bits depend on its sequence alone. It is not fast: every query rotates the keys
 * again.
 */
namespace attention_plainly
{
enum { WARPS = 4, LANES = 32, KEYS = LANES, HELD = ATTENTION_HEAD_SIZE_MAX / LANES };

/* A warp's part of shared memory. */
struct warp_scratch {
    float query[ATTENTION_HEAD_SIZE_MAX];
    float p[KEYS];
};

template <class T> __device__ inline float one(const T *x)
{
    return load_floats<1>(x).v[0];
}

template <class T> __device__ inline void put(T *x, float value)
{
    store_floats(x, floats<1>{{value}});
}

/* The sequence with query_start[s] <= query < query_start[s + 1]. */
__device__ inline int sequence_of(const struct attention &op, int query)
{
    int low = 0, high = op.n_sequences;
    while (high - low > 1) {
        int middle = (low + high) / 2;
        if (op.query_start[middle] <= query)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* rot(key) · query, elements in order. */
template <class T>
__device__ inline float score(const T *key, const float *rotary, const float *query, int head_size)
{
    int half = head_size / 2;
    float sum = 0;
    for (int d = 0; d < half; d++) {
        float a = one(key + d), b = one(key + d + half), cosine = rotary[d], sine = rotary[d + half];
        sum = fmaf(query[d], a * cosine - b * sine, sum);
        sum = fmaf(query[d + half], b * cosine + a * sine, sum);
    }
    return sum;
}

__device__ inline float warp_max(float v)
{
    for (int distance = LANES / 2; distance > 0; distance /= 2)
        v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, distance));
    return v;
}

/* o += p · v for n keys; o[i] is dimension lane + i * LANES. */
template <class T>
__device__ inline void add_values(const T *v, int64_t ld, const float *p, int n, int head_size,
                                  float (&o)[HELD])
{
    int lane = threadIdx.x % LANES;
#pragma unroll
    for (int i = 0; i < HELD; i++)
        for (int key = 0; key < n && lane + i * LANES < head_size; key++)
            o[i] = fmaf(p[key], one(v + key * ld + lane + i * LANES), o[i]);
}

template <class T>
__device__ inline void attend(const struct attention &op, struct warp_scratch *scratch, int first_key,
                              int n_keys, int head, float (&o)[HELD])
{
    int lane = threadIdx.x % LANES;
    float max = -INFINITY, sum = 0;
    for (int block = 0; block < n_keys; block += KEYS) {
        int n = min(KEYS, n_keys - block);
        int64_t at = (first_key + block) * op.ld_kv + head * op.head_size;
        float own = -INFINITY;
        if (lane < n)
            own = score((const T *)op.k + at + lane * op.ld_kv,
                        op.rotary + (int64_t)(block + lane) * op.head_size, scratch->query, op.head_size);
        float largest = fmaxf(max, warp_max(own)), shrink = expf(max - largest), p = expf(own - largest);
        scratch->p[lane] = p;
        __syncwarp();
        sum = fmaf(sum, shrink, p);
        max = largest;
#pragma unroll
        for (int i = 0; i < HELD; i++)
            o[i] *= shrink;
        add_values((const T *)op.v + at, op.ld_kv, scratch->p, n, op.head_size, o);
        __syncwarp();
    }
    sum = warp_sum(sum);
#pragma unroll
    for (int i = 0; i < HELD; i++)
        o[i] /= sum;
}

template <class T> __global__ void __launch_bounds__(WARPS *LANES) attention_plain_kernel(struct attention op)
{
    struct warp_scratch *scratch = (struct warp_scratch *)shared_memory() + threadIdx.y;
    int64_t task = (int64_t)blockIdx.x * WARPS + threadIdx.y;
    int query = (int)(task / op.n_heads), head = (int)(task % op.n_heads), lane = threadIdx.x,
        half = op.head_size / 2;
    if (query >= op.n_queries)
        return;
    int sequence = sequence_of(op, query), first_key = op.key_start[sequence];
    int n_keys = op.key_start[sequence + 1] - first_key;
    const T *q = (const T *)op.q + query * op.ld_q + head * op.head_size;
    const float *rotary = op.rotary + (int64_t)op.query_position[query] * op.head_size;
    float factor = 1.0f / sqrtf((float)op.head_size), o[HELD] = {};
    for (int d = lane; d < half; d += LANES) {
        float a = one(q + d), b = one(q + d + half), cosine = rotary[d], sine = rotary[d + half];
        scratch->query[d] = (a * cosine - b * sine) * factor;
        scratch->query[d + half] = (b * cosine + a * sine) * factor;
    }
    __syncwarp();
    if (n_keys == 0)
        return;
    attend<T>(op, scratch, first_key, n_keys, head, o);
#pragma unroll
    for (int i = 0; i < HELD; i++)
        if (lane + i * LANES < op.head_size)
            put((T *)op.o + query * op.ld_o + head * op.head_size + lane + i * LANES, o[i]);
}
} // namespace attention_plainly

using namespace attention_plainly;

cudaError_t attention_plain(struct device *device, const struct attention *op)
{
    unsigned blocks = (unsigned)(((int64_t)op->n_queries * op->n_heads + WARPS - 1) / WARPS);
    size_t shared_bytes = WARPS * sizeof(struct warp_scratch);
    if (device->precision == PRECISION_F32)
        return launch(attention_plain_kernel<float>, dim3(blocks), dim3(LANES, WARPS), shared_bytes,
                      device->stream, *op);
    return launch(attention_plain_kernel<__nv_bfloat16>, dim3(blocks), dim3(LANES, WARPS), shared_bytes,
                  device->stream, *op);
}
