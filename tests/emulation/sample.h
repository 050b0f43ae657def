#ifndef MILLRACE_TESTS_EMULATION_SAMPLE_H
#define MILLRACE_TESTS_EMULATION_SAMPLE_H

#include <cuda_runtime.h>
#include <stdint.h>

/* Small kernels, right and wrong ones, that the emulator's test runs (sample.cu). */

/* y[block] = sum of x[block * n ... block * n + n - 1], by shared memory, barriers and shuffles; n threads.
 */
cudaError_t sample_sum(const float *x, float *y, int n_blocks, int n, cudaStream_t stream);
/* c[16, 8] = a[16, 16] · b[8, 16]^T, bf16 bits; copies by cp.async, loads by ldmatrix. wait = false forgets
 * the wait. */
cudaError_t sample_product(const uint16_t *a, const uint16_t *b, float *c, bool wait, cudaStream_t stream);

enum sample_defect {
    SAMPLE_BARRIER_NOT_REACHED, /* by half of the threads */
    SAMPLE_TWO_BARRIERS,        /* threads wait at different ones */
    SAMPLE_DIVERGENT_SHUFFLE,   /* half of a warp does not take part */
    SAMPLE_DIFFERENT_CALLS,     /* half shuffles, half votes */
    SAMPLE_READ_BEYOND_SHARED,  /* a plain read */
    SAMPLE_LOAD_BEYOND_SHARED,  /* ldmatrix */
    SAMPLE_WRITE_BEFORE_SHARED,
    SAMPLE_WILD_READ,
    SAMPLE_COPY_NEVER_WAITED,
    SAMPLE_COPY_UNALIGNED,
    SAMPLE_DEEP_STACK, /* recursion without end */
    SAMPLE_DEFECTS
};
cudaError_t sample_broken(enum sample_defect defect, float *memory, cudaStream_t stream);

/* x[i] = x[i - 1] + 1 without a barrier: depends on the order of threads. */
cudaError_t sample_race(float *x, cudaStream_t stream);

#endif
