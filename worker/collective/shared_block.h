#ifndef MILLRACE_WORKER_COLLECTIVE_SHARED_BLOCK_H
#define MILLRACE_WORKER_COLLECTIVE_SHARED_BLOCK_H

#include <stddef.h>

#include "worker/collective/collective.h"

/*
 * Memory that all ranks of a replica share, where all are on one machine. It is an anonymous file (memfd),
 * which the others open through /proc. So it has no name that a killed process could leave behind, it is not
 * bounded by the size of /dev/shm, and it takes memory only where it was written to.
 */
struct shared_block {
    void *memory; /* begins on 64 bytes; zeros at first */
    size_t size_bytes;
};

/* Called on all ranks together; `base` is what they talk through meanwhile. All ranks get the same verdict.
 * UNAVAILABLE: they cannot share memory, for example because they are in containers of their own. */
enum status shared_block_open(struct shared_block *block, struct collective *base, size_t size_bytes,
                              struct error *error);
/* A zeroed block is allowed. */
void shared_block_close(struct shared_block *block);

#endif
