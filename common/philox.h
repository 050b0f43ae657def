#ifndef MILLRACE_COMMON_PHILOX_H
#define MILLRACE_COMMON_PHILOX_H

#include <stdint.h>

/*
 * Counter-based randomness: a draw is a pure function of the seed, the position, the step and the purpose.
 *
 * Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3. SC 2011).
 * Key = the request's seed; counter = (position, step, purpose). No state is kept anywhere, so a
 * request draws the same numbers in any batch, on any rank, and after a resume from any frame.
 */
enum philox_purpose {
    PHILOX_INITIAL = 0, /* the token a position starts from (uniform source) */
    PHILOX_JUMP = 1,    /* does the position jump in this step? */
    PHILOX_DRAW = 2,    /* where to? */
    PHILOX_PHASE = 3,   /* the phase of a position's jumps (stratified) */
};

/* One block: out[4] = Philox4x32-10(counter, key). */
static inline void philox_block(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3], k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

/* A uniform in [0, 1) with 53 random bits. */
static inline double philox_uniform(uint64_t seed, uint32_t step, uint32_t position,
                                    enum philox_purpose purpose)
{
    const uint32_t counter[4] = {position, step, (uint32_t)purpose, 0};
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t word[4];
    philox_block(counter, key, word);
    uint64_t bits = ((uint64_t)word[0] << 32 | word[1]) >> 11;
    return (double)bits * 0x1p-53;
}

#endif
