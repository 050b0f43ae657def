#ifndef MILLRACE_TESTS_EMULATION_WARP_H
#define MILLRACE_TESTS_EMULATION_WARP_H

#include <stdint.h>
#include <string.h>

#include "tests/emulation/block.h"

/*
 * Operations of a warp: shuffles, votes, reductions, matrix loads and products. Every lane gives its
 * operands, the last that arrives computes for all (block.h, warp_call). What PTX leaves undefined is a
 * fault: to shuffle from a lane outside the mask, a lane that makes another call.
 */
namespace emulation
{
enum class shuffle_kind { index, up, down, exclusive };

struct shuffle_operands {
    uint64_t value, result;
    int argument, width; /* lane, delta or mask; segment width */
    shuffle_kind kind;
};
void shuffle(void *const operands[warp_size], unsigned mask);

struct vote_operands {
    bool predicate;
    unsigned result;
};
void vote(void *const operands[warp_size], unsigned mask);
void nothing(void *const operands[warp_size], unsigned mask);

struct match_operands {
    uint64_t value;
    unsigned result;
};
void match_any(void *const operands[warp_size], unsigned mask);

template <typename T> T shuffle_value(shuffle_kind kind, unsigned mask, T value, int argument, int width)
{
    static_assert(sizeof(T) <= sizeof(uint64_t), "a shuffle moves at most 8 bytes");
    shuffle_operands operands = {0, 0, argument, width, kind};
    memcpy(&operands.value, &value, sizeof value);
    warp_call(shuffle, mask, &operands);
    memcpy(&value, &operands.result, sizeof value);
    return value;
}

/* Matrices of 8 rows of 16 bytes: 4 of them; lane l has the address of row l % 8 of matrix l / 8. */
struct matrix_load {
    const void *row;
    uint32_t *result; /* [4] */
    bool transposed;
};
void load_matrices(void *const operands[warp_size], unsigned mask);

/* c[16,8] += a[16,16] · b[16,8] in the fragments of mma.m16n8k16 (PTX ISA 9.0, 9.7.14.5.8), bf16 in, float32
 * out. */
struct product_operands {
    float *c;          /* [4] */
    const uint32_t *a; /* [4] */
    const uint32_t *b; /* [2] */
};
void multiply_bf16(void *const operands[warp_size], unsigned mask);
} // namespace emulation

template <typename T> T __shfl_sync(unsigned mask, T value, int lane, int width = 32)
{
    return emulation::shuffle_value(emulation::shuffle_kind::index, mask, value, lane, width);
}
template <typename T> T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32)
{
    return emulation::shuffle_value(emulation::shuffle_kind::up, mask, value, (int)delta, width);
}
template <typename T> T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32)
{
    return emulation::shuffle_value(emulation::shuffle_kind::down, mask, value, (int)delta, width);
}
template <typename T> T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32)
{
    return emulation::shuffle_value(emulation::shuffle_kind::exclusive, mask, value, lanes, width);
}

inline unsigned __ballot_sync(unsigned mask, int predicate)
{
    emulation::vote_operands operands = {predicate != 0, 0};
    emulation::warp_call(emulation::vote, mask, &operands);
    return operands.result;
}
inline int __any_sync(unsigned mask, int predicate)
{
    return __ballot_sync(mask, predicate) != 0;
}
inline int __all_sync(unsigned mask, int predicate)
{
    return __ballot_sync(mask, predicate) == mask;
}
template <typename T> unsigned __match_any_sync(unsigned mask, T value)
{
    emulation::match_operands operands = {(uint64_t)value, 0};
    emulation::warp_call(emulation::match_any, mask, &operands);
    return operands.result;
}
inline void __syncwarp(unsigned mask = 0xffffffffu)
{
    emulation::warp_call(emulation::nothing, mask, nullptr);
}

#endif
