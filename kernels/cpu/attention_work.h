#ifndef MILLRACE_KERNELS_CPU_ATTENTION_WORK_H
#define MILLRACE_KERNELS_CPU_ATTENTION_WORK_H

#include <math.h>

#include "kernels/cpu/attention_scratch.h"
#include "kernels/cpu/simd.h"

/* What attention in float32 and in bfloat16 have in common. */
enum { ATTENTION_BLOCK = LANES * TILE_PANELS }; /* queries that are answered together */

/* One head of one sequence, on one thread. */
struct head_work {
    const struct attention *op;
    struct attention_scratch scratch;
    int head, first_key, n_keys;
};

/* to[d] = rot(x)[d] * factor; rotary: head_size/2 cosines, then as many sines */
static inline void attention_rotate(const float *restrict x, const float *restrict rotary, int head_size,
                                    float factor, float *restrict to)
{
    int half = head_size / 2;
    for (int d = 0; d < half; d++) {
        float a = x[d], b = x[d + half], cosine = rotary[d], sine = rotary[d + half];
        to[d] = (a * cosine - b * sine) * factor;
        to[d + half] = (b * cosine + a * sine) * factor;
    }
}

/* Largest of each lane of scores[n_keys][16]; in four chains, since one would wait for itself at every step.
 */
static inline struct vf attention_max(const float *scores, int n_keys)
{
    struct vf max[4];
    for (int i = 0; i < 4; i++)
        max[i] = vf_load(scores);
    int key = 1;
    for (; key + 4 <= n_keys; key += 4)
        for (int i = 0; i < 4; i++)
            max[i] = vf_max(max[i], vf_load(scores + (key + i) * LANES));
    for (; key < n_keys; key++)
        max[0] = vf_max(max[0], vf_load(scores + key * LANES));
    return vf_max(vf_max(max[0], max[1]), vf_max(max[2], max[3]));
}

/* How many keys, from the first on, a query at that position sees (struct attention, block_size). */
static inline int attention_keys_seen(const struct head_work *work, int position)
{
    int block = work->op->block_size, end = block ? (position / block + 1) * block : work->n_keys;
    return end < work->n_keys ? end : work->n_keys;
}

/* Takes the keys that they do not see out of the scores of the queries first ... first + n. A panel's scores
 * are panel_keys rows of LANES queries. */
static inline void attention_hide_later(const struct head_work *work, int first, int n, int panel_keys)
{
    if (work->op->block_size == 0)
        return;
    for (int i = 0; i < n; i++) {
        float *scores = work->scratch.scores + (int64_t)(i / LANES) * panel_keys * LANES + i % LANES;
        int seen = attention_keys_seen(work, work->op->query_position[first + i]);
        for (int key = seen; key < work->n_keys; key++)
            scores[(int64_t)key * LANES] = -INFINITY;
    }
}

/* Packs the head's keys and values, once for all its blocks of queries. */
void ISA(attention_bf16_pack)(const struct head_work *work);
/* Queries first ... first + n, n <= ATTENTION_BLOCK. */
void ISA(attention_bf16_block)(const struct head_work *work, int first, int n);

#endif
