#ifndef MILLRACE_KERNELS_CUDA_SEGMENT_H
#define MILLRACE_KERNELS_CUDA_SEGMENT_H

#include <cuda_runtime.h>

#include "kernels/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Segments as CUDA graphs. The first time a key is seen, its segment runs as ordinary calls and the key is
 * only remembered: many batches have a shape that never comes again, and recording costs more than launching.
 * The second time the segment is recorded and played; from the third time on it is only played. When no place
 * is free, the least recently used one goes to the new key.
 *
 * A recorded segment may launch kernels, copy between device memories and run collectives of NCCL. It may not
 * wait, allocate, or copy from or to ordinary host memory.
 */
enum { SEGMENTS_KEPT = 32 };

struct segment {
    struct segment_key key;
    cudaGraphExec_t graph; /* NULL: only remembered */
    uint64_t used;         /* 0: a free place */
};

struct segments {
    struct segment kept[SEGMENTS_KEPT];
    uint64_t clock;
    struct segment *recording; /* NULL: none */
    bool off;                  /* MILLRACE_CUDA_GRAPHS=off: nothing is recorded */
    uint64_t n_recorded, n_played;
};

/* As in struct backend. */
bool cuda_segment_begin(struct device *device, const struct segment_key *key);
void cuda_segment_end(struct device *device);
void segments_release(struct segments *segments);

#ifdef __cplusplus
}
#endif

#endif
