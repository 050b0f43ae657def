#ifndef MILLRACE_KERNELS_CUDA_UPLOAD_H
#define MILLRACE_KERNELS_CUDA_UPLOAD_H

#include <cuda_runtime.h>

#include "kernels/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Uploads ordinary host memory to the GPU. backend.h promises that this memory may be used again when upload
 * returns. CUDA does not promise that of cudaMemcpyAsync ("might be synchronous with respect to host", CUDA
 * Runtime API, API synchronization behavior): where the GPU can read pageable memory itself (HMM, Grace
 * Hopper) it may read it later. Upload may not wait for the stream either: the stream may itself be waiting
 * for a sum with a rank that is gone. So the bytes go through pinned memory of our own, in two halves. A call
 * waits only when it changes halves, and then only until the GPU has read what the other half held.
 */
enum { UPLOAD_HALVES = 2, UPLOAD_HALF_BYTES = 1 << 20 };

struct uploads {
    char *pinned; /* [UPLOAD_HALVES, UPLOAD_HALF_BYTES] */
    int half;     /* the one that is being filled */
    size_t used;  /* bytes of it */
    cudaEvent_t read[UPLOAD_HALVES];
};

/* Keep a failure of `device`. */
void uploads_open(struct device *device);
void uploads_close(struct device *device);

/* As in struct backend. */
void cuda_upload(struct device *device, void *to, const void *from, size_t size_bytes);

#ifdef __cplusplus
}
#endif

#endif
