#ifndef MILLRACE_CLI_CONVERT_RANDOM_NORMAL_H
#define MILLRACE_CLI_CONVERT_RANDOM_NORMAL_H

#include <stddef.h>
#include <stdint.h>

/* Quantiles of the standard normal distribution at (i + 1/2) / 2^16: 16 random bits become a normal number by
 * one look-up, between -4.3 and 4.3. */
struct normal_table {
    float quantile[1 << 16];
};
void normal_table_init(struct normal_table *table);

/* Fills x[n] with normal numbers of standard deviation `deviation`. x[0] is number `first` of stream
 * `stream`. A number depends on (seed, stream, place) alone, so pieces may be made in any order. `first` is a
 * multiple of 8. */
void normal_fill(const struct normal_table *table, uint64_t seed, uint32_t stream, uint64_t first, size_t n,
                 float deviation, float *x);

#endif
