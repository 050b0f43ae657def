#include "tests/kernels/tile_model.h"

#include <float.h>
#include <math.h>
#include <string.h>

float tile_model_flush(float x)
{
    return fabsf(x) < FLT_MIN ? copysignf(0, x) : x;
}

static float value_of(uint16_t word)
{
    uint32_t bits = (uint32_t)word << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return tile_model_flush(x);
}

float tile_model_bf16(float sum, const uint16_t a[32], const uint16_t b[32])
{
    float even = 0, odd = 0;
    for (int k = 0; k < 32; k += 2) {
        even = tile_model_flush(fmaf(value_of(a[k]), value_of(b[k]), even));
        odd = tile_model_flush(fmaf(value_of(a[k + 1]), value_of(b[k + 1]), odd));
    }
    float both = tile_model_flush(even + odd);
    return tile_model_flush(tile_model_flush(sum) + both);
}
