#include "cli/convert/random_normal.h"

#include <math.h>

#include "common/philox.h"

/* Newton's method on Φ(x) = p, upward from the last quantile: Φ is concave above 0, so it never overshoots.
 */
static double quantile_from(double x, double p)
{
    for (;;) {
        const double step = (p - 0.5 * erfc(-x * M_SQRT1_2)) / (exp(-0.5 * x * x) / sqrt(2 * M_PI));
        if (step < 1e-9)
            return x;
        x += step;
    }
}

void normal_table_init(struct normal_table *table)
{
    double x = 0;
    for (int i = 1 << 15; i < 1 << 16; i++) {
        x = quantile_from(x, (i + 0.5) * 0x1p-16);
        table->quantile[i] = (float)x;
        table->quantile[(1 << 16) - 1 - i] = (float)-x;
    }
}

void normal_fill(const struct normal_table *table, uint64_t seed, uint32_t stream, uint64_t first, size_t n,
                 float deviation, float *x)
{
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    for (size_t i = 0; i < n; i += 8) {
        const uint64_t block = (first + i) / 8;
        const uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), stream, 0};
        uint32_t word[4];
        philox_block(counter, key, word);
        for (size_t j = 0; j < 8 && i + j < n; j++)
            x[i + j] = deviation * table->quantile[word[j / 2] >> (j % 2 * 16) & 0xFFFF];
    }
}
