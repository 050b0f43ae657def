#ifndef MILLRACE_KERNELS_CUDA_ACTIVATION_CUH
#define MILLRACE_KERNELS_CUDA_ACTIVATION_CUH

#include "kernels/backend.h"
#include "kernels/cuda/gpu.cuh"

/*
 * GELU in its tanh form (Hendrycks and Gimpel, arXiv 1606.08415) and SiLU. Both are v σ(z), since 1 + tanh(u)
 * = 2 σ(2u): one exponential and one reciprocal, and no cancellation where tanh nears -1.
 */
__device__ inline float sigmoid_argument(enum activation activation, float v)
{
    if (activation == ACTIVATION_SILU)
        return v;
    return 2 * 0.7978845608028654f * fmaf(0.044715f * v * v, v, v); /* 2 √(2/π) (v + 0.044715 v³) */
}

/* For results that are kept as bf16 or fp8: relative error about 2^-20. */
__device__ inline float activate_fast(enum activation activation, float v)
{
    if (activation == ACTIVATION_NONE)
        return v;
    return v * reciprocal_fast(1.0f + exp2_fast(-1.4426950408889634f * sigmoid_argument(activation, v)));
}

__device__ inline float activate_exact(enum activation activation, float v)
{
    if (activation == ACTIVATION_NONE)
        return v;
    return v / (1.0f + expf(-sigmoid_argument(activation, v)));
}

#endif
