#include "common/dtype.h"

#include <string.h>

static const struct {
    const char *name;
    size_t bytes;
} dtypes[] = {
    [DTYPE_F32] = {"F32", 4}, [DTYPE_BF16] = {"BF16", 2}, [DTYPE_F16] = {"F16", 2},
    [DTYPE_F64] = {"F64", 8}, [DTYPE_I64] = {"I64", 8},   [DTYPE_I32] = {"I32", 4},
    [DTYPE_U8] = {"U8", 1},   [DTYPE_BOOL] = {"BOOL", 1},
};

size_t dtype_bytes(enum dtype dtype)
{
    return dtypes[dtype].bytes;
}

const char *dtype_name(enum dtype dtype)
{
    return dtypes[dtype].name;
}

static float float_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* IEEE binary16 to binary32, exact. */
static float half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16, exponent = (half >> 10) & 0x1Fu,
             fraction = half & 0x3FFu;
    if (exponent == 0x1F)
        return float_of_bits(sign | 0x7F800000u | fraction << 13);
    if (exponent == 0) { /* zero or subnormal: fraction * 2^-24 */
        float value = (float)fraction * 0x1p-24f;
        return sign ? -value : value;
    }
    return float_of_bits(sign | (exponent + 112) << 23 | fraction << 13);
}

void dtype_to_float(enum dtype dtype, const void *from, size_t n, float *to)
{
    if (dtype == DTYPE_F32) {
        memcpy(to, from, n * sizeof *to);
        return;
    }
    const unsigned char *bytes = from;
    for (size_t i = 0; i < n; i++) {
        uint16_t word;
        memcpy(&word, bytes + 2 * i, sizeof word);
        to[i] = dtype == DTYPE_BF16 ? float_of_bits((uint32_t)word << 16) : half_to_float(word);
    }
}

static uint16_t bf16_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (value != value)
        return 0x7FFF;
    return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

void dtype_to_bf16(enum dtype dtype, const void *from, size_t n, uint16_t *to)
{
    if (dtype == DTYPE_BF16) {
        memcpy(to, from, n * sizeof *to);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        float value;
        dtype_to_float(dtype, (const char *)from + i * dtype_bytes(dtype), 1, &value);
        to[i] = bf16_of(value);
    }
}
