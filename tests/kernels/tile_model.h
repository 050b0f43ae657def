#ifndef MILLRACE_TESTS_KERNELS_TILE_MODEL_H
#define MILLRACE_TESTS_KERNELS_TILE_MODEL_H

#include <stdint.h>

/*
 * One element of the tile unit's products, in plain C from the pseudo-code of Intel's manual (SDM vol. 2,
 * TDPBF16PS). It reads no code of kernels/cpu.
 *
 * sum + Σ_{k < 32} a[k] * b[k]: the products of even k are one chain of fused multiply-adds from 0, those of
 * odd k another; their sum is added to `sum`. Subnormal inputs and results are zeros with their sign. a and b
 * are bfloat16 words.
 */
float tile_model_bf16(float sum, const uint16_t a[32], const uint16_t b[32]);

/* x without its subnormal numbers. */
float tile_model_flush(float x);

#endif
