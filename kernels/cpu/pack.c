#include "kernels/cpu/pack.h"

#include <string.h>

#include "kernels/cpu/bf16.h"
#include "kernels/cpu/tile_bf16.h"

/*
 * Goes in squares of 4 x 4, which every machine transposes in registers, over columns COLUMNS at a time, so
 * that each cache line of x is read while it is near. What is left at the edges goes one by one.
 */
enum { COLUMNS = 16 };

typedef float quad __attribute__((vector_size(16)));

static inline quad load_quad(const float *p)
{
    quad v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void transpose_square(const float *x, int64_t ld_x, float *to, int64_t ld_to)
{
    quad a = load_quad(x), b = load_quad(x + ld_x), c = load_quad(x + 2 * ld_x), d = load_quad(x + 3 * ld_x);
    quad ac_low = __builtin_shufflevector(a, c, 0, 4, 1, 5);
    quad ac_high = __builtin_shufflevector(a, c, 2, 6, 3, 7);
    quad bd_low = __builtin_shufflevector(b, d, 0, 4, 1, 5);
    quad bd_high = __builtin_shufflevector(b, d, 2, 6, 3, 7);
    const quad columns[4] = {__builtin_shufflevector(ac_low, bd_low, 0, 4, 1, 5),
                             __builtin_shufflevector(ac_low, bd_low, 2, 6, 3, 7),
                             __builtin_shufflevector(ac_high, bd_high, 0, 4, 1, 5),
                             __builtin_shufflevector(ac_high, bd_high, 2, 6, 3, 7)};
    for (int k = 0; k < 4; k++)
        memcpy(to + k * ld_to, &columns[k], sizeof columns[k]);
}

/* All rows of n <= COLUMNS columns. */
static inline void transpose_columns(const float *x, int64_t ld_x, int rows, int n, float *to, int64_t ld_to)
{
    int r = 0, whole = n / 4 * 4;
    for (; r + 4 <= rows; r += 4)
        for (int k = 0; k < whole; k += 4)
            transpose_square(x + r * ld_x + k, ld_x, to + k * ld_to + r, ld_to);
    for (int k = 0; k < n; k++)
        for (int left = k < whole ? r : 0; left < rows; left++)
            to[k * ld_to + left] = x[left * ld_x + k];
}

void ISA(pack)(const float *x, int64_t ld_x, int rows, int n, float *to, int64_t ld_to, int width)
{
    for (int k = 0; k < n; k += COLUMNS)
        transpose_columns(x + k, ld_x, rows, n - k < COLUMNS ? n - k : COLUMNS, to + k * ld_to, ld_to);
    for (int k = 0; rows < width && k < n; k++)
        memset(to + k * ld_to + rows, 0, (size_t)(width - rows) * sizeof *to);
}

void ISA(pack_pairs)(const float *x, int64_t ld_x, int rows, int n, uint16_t *to)
{
    float columns[BF16_GROUP * LANES];
    for (int k = 0; k < n; k += BF16_GROUP, to += BF16_GROUP * LANES) {
        int width = n - k < BF16_GROUP ? n - k : BF16_GROUP;
        ISA(pack)(x + k, ld_x, rows, width, columns, LANES, LANES);
        memset(columns + width * LANES, 0, (size_t)(BF16_GROUP - width) * LANES * sizeof *columns);
        for (int i = 0; i < BF16_GROUP * LANES; i += 2 * LANES)
            vf_store_pairs(to + i, vf_load(columns + i), vf_load(columns + i + LANES));
    }
}
