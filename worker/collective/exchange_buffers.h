#ifndef MILLRACE_WORKER_COLLECTIVE_EXCHANGE_BUFFERS_H
#define MILLRACE_WORKER_COLLECTIVE_EXCHANGE_BUFFERS_H

#include <stdbool.h>

#include "kernels/backend.h"

/*
 * The memory that a collective exchanges through, for sums of up to max_elements floats and gathers of as
 * many in all. The collectives allocate it here, and so does a plan of the memory, on a backend that only
 * counts (model/memory.h).
 */
struct exchange_buffers {
    const struct backend *backend;
    struct device *device;
    bool on_device;              /* scratch is the device's memory, not the host's */
    float *scratch;              /* [n_ranks, slice of max_elements]; NULL: none is needed */
    float *staged, *staged_part; /* host [max_elements]; NULL where the device's memory is the host's */
};

enum { EXCHANGE_SLICE_ALIGNMENT = 4 }; /* floats: slices that a GPU adds begin on 16 bytes */

/* What `self`, `mpi` and `nccl` take; `shm` takes as much as `mpi`, of the memory that the ranks share.
 * false: no memory; release frees what there is. */
bool exchange_buffers_for_mpi(struct exchange_buffers *buffers, const struct backend *backend,
                              struct device *device, int n_ranks, int64_t max_elements);
bool exchange_buffers_for_nccl(struct exchange_buffers *buffers, const struct backend *backend,
                               struct device *device, int n_ranks, int64_t max_elements);
void exchange_buffers_release(struct exchange_buffers *buffers); /* zeroed buffers are allowed */

#endif
