#ifndef MILLRACE_KERNELS_CUDA_ATTENTION_CUH
#define MILLRACE_KERNELS_CUDA_ATTENTION_CUH

#include "kernels/cuda/device.h"
#include "kernels/cuda/vector.cuh"

/*
 * What the kernels of one attention share.
 *
 * The host does not know how many queries each sequence has (query_start is device memory, and reading it
 * would stop the host), only their sum. So the launch has as many blocks as there can be, and a list in
 * scratch says which block has which queries; blocks beyond the list return at once. The longest sequences
 * come first: the blocks at the end are short, so no multiprocessor waits long for the last one.
 */

/* A run of block_queries queries (or what is left of a sequence): every head of it is a block. */
struct attention_item {
    int32_t sequence; /* -1: none */
    int32_t first;    /* the number of the sequence's first item */
};

struct attention_work {
    struct attention op;
    int block_queries;
    int n_items; /* as many as there can be: n_queries / block_queries + n_sequences */
    struct attention_item *items;
    __nv_bfloat16 *keys;    /* [rows of k, n_heads * head_size]: rotated */
    __nv_bfloat16 *queries; /* [n_queries, n_heads * head_size]: rotated */
};

/* Writes the list, the rotated keys and the rotated queries (attention_prepare.cu). */
cudaError_t attention_prepare(struct device *device, const struct attention_work *work);
/* By tensor cores: bf16, head sizes that are multiples of 8 up to 256, rows that begin on 16 bytes
 * (attention_tensor.cu). */
cudaError_t attention_tensor(struct device *device, const struct attention_work *work);
/* Any even head size up to 256, float32 or bf16; no scratch (attention_plain.cu). */
cudaError_t attention_plain(struct device *device, const struct attention *op);

enum { ATTENTION_HEAD_SIZE_MAX = 256 };

/* (a ‖ b) → (a cosθ − b sinθ ‖ b cosθ + a sinθ), elements `first` ... + N - 1 of each half; rotary: the row
 * of the position. What is fused is written down, so that no compiler decides it. */
template <int N, class In, class Out>
__device__ inline void rotate(const In *x, const float *rotary, int first, int half, Out *y)
{
    floats<N> a = load_floats<N>(x + first), b = load_floats<N>(x + first + half);
    floats<N> cosine = load_floats<N>(rotary + first), sine = load_floats<N>(rotary + first + half), low,
              high;
#pragma unroll
    for (int i = 0; i < N; i++) {
        low.v[i] = __fmaf_rn(-b.v[i], sine.v[i], __fmul_rn(a.v[i], cosine.v[i]));
        high.v[i] = __fmaf_rn(a.v[i], sine.v[i], __fmul_rn(b.v[i], cosine.v[i]));
    }
    store_floats(y + first, low);
    store_floats(y + first + half, high);
}

#endif
