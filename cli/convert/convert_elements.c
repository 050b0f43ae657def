#include "cli/convert/convert_elements.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* The upper half of a finite float, rounded. */
static uint16_t bfloat_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

static void to_float(enum dtype dtype, const void *from, size_t n, float *to)
{
    if (dtype != DTYPE_F64) {
        dtype_to_float(dtype, from, n, to);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        double value;
        memcpy(&value, (const char *)from + i * sizeof value, sizeof value);
        to[i] = (float)value;
    }
}

bool convert_elements(enum dtype from_dtype, const void *from, size_t n, enum dtype to_dtype, void *to,
                      float *floats)
{
    to_float(from_dtype, from, n, floats);
    for (size_t i = 0; i < n; i++)
        if (!isfinite(floats[i]))
            return false;
    if (to_dtype == DTYPE_F32) {
        memcpy(to, floats, n * sizeof *floats);
        return true;
    }
    for (size_t i = 0; i < n; i++) {
        const uint16_t bits = bfloat_of(floats[i]);
        memcpy((char *)to + i * sizeof bits, &bits, sizeof bits);
    }
    return true;
}
