#ifndef MILLRACE_KERNELS_CPU_ATTENTION_SCRATCH_H
#define MILLRACE_KERNELS_CPU_ATTENTION_SCRATCH_H

#include "kernels/cpu/device.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/tile_bf16.h"

enum { QUERY_BLOCK = LANES * TILE_PANELS_MAX }; /* queries whose scores exist at a time, at most */

/* What a thread needs for one sequence and head, cut from its scratch. (attention_bf16.c keeps keys and
 * values row by row instead.) */
struct attention_scratch {
    float *keys;    /* rotated, in strips: [key strips][head_size][TILE_ROWS] */
    float *values;  /* in strips: [dimension strips][keys][TILE_ROWS] */
    float *queries; /* rotated and scaled, in panels: [panels][head_size][16] */
    float *scores;  /* [panels][keys][16] */
    float *outputs; /* [panels][head_size][16] */
    float *rotated; /* [QUERY_BLOCK][head_size], rows on their way into strips and panels */
};

/* Cuts the scratch that begins at `memory` for sequences of max_positions; returns its length in floats. With
 * NULL only the length has a meaning. Every part begins on a cache line. */
static inline size_t attention_scratch_cut(float *memory, int max_positions,
                                           struct attention_scratch *scratch)
{
    size_t positions = (size_t)max_positions + BF16_GROUP, head = HEAD_SIZE_MAX + TILE_ROWS_MAX;
    const size_t sizes[] = {positions * HEAD_SIZE_MAX, positions * head,   QUERY_BLOCK * head,
                            positions * QUERY_BLOCK,   QUERY_BLOCK * head, QUERY_BLOCK * head};
    float **parts[] = {&scratch->keys,   &scratch->values,  &scratch->queries,
                       &scratch->scores, &scratch->outputs, &scratch->rotated};
    size_t length = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        if (memory != NULL)
            *parts[i] = memory + length;
        length += (sizes[i] + LANES - 1) / LANES * LANES;
    }
    return length;
}

#endif
