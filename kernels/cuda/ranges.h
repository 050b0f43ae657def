#ifndef MILLRACE_KERNELS_CUDA_RANGES_H
#define MILLRACE_KERNELS_CUDA_RANGES_H

/* NVTX, where the toolkit has it (it is headers alone): named ranges for profilers. */
#if __has_include(<nvtx3/nvToolsExt.h>)
#include <nvtx3/nvToolsExt.h>
#else
static inline int nvtxRangePushA(const char *message)
{
    (void)message;
    return 0;
}

static inline int nvtxRangePop(void)
{
    return 0;
}
#endif

#endif
