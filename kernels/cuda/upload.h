#ifndef MILLRACE_KERNELS_CUDA_UPLOAD_H
#define MILLRACE_KERNELS_CUDA_UPLOAD_H

#include <cuda_runtime.h>

#include "kernels/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The way of ordinary host memory to the GPU. backend.h promises that it may be used again when upload
 * returns. CUDA does not promise that of cudaMemcpyAsync ("might be synchronous with respect to host", CUDA
 * Runtime API, API synchronization behavior): where the GPU can read pageable memory itself (HMM, Grace
 * Hopper) it may read it later. Nor may upload wait for the stream: it could stand behind a sum with a rank
 * that is gone. So the bytes go through pinned memory of our own, in two halves; only who sends more than a
 * half's bytes waits, for what was sent a half before.
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
