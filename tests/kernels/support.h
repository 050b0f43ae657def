#ifndef MILLRACE_TESTS_KERNELS_SUPPORT_H
#define MILLRACE_TESTS_KERNELS_SUPPORT_H

#include <check.h>

#include "kernels/backend.h"

/* Instruction sets that this machine runs, the best first; ends with NULL. */
const char *const *machine_isas(void);

enum { TEST_ROWS = 1100, TEST_POSITIONS = 640, TEST_COLUMNS = 1024 };

/* A device of the cpu backend with that copy of the arithmetic. Fails the test when it does not open. */
struct device *open_device(const char *isa, int n_threads);
struct device *open_device_for(const char *isa, enum precision precision, int n_threads);
/* Fails the test when an operation failed. */
void finish_device(struct device *device);

/* n numbers that depend on the seed alone: uniform in [-scale, scale]. The caller frees. */
float *random_floats(size_t n, uint32_t seed, float scale);
/* values[i] rounded to bfloat16; ties to even. The caller frees. */
uint16_t *words_of(const float *values, size_t n);
int32_t *random_ids(size_t n, uint32_t seed, int32_t below);
void *cleared(size_t n, size_t size);

/* A weight of the cpu backend from dense w[n_out, n_in]; leaves NULL: one. */
struct weight *weight_of(struct device *device, const float *w, int n_out, int n_in, const int32_t *leaves,
                         int n_leaves);
/* Rows first_row ..., columns first_column ... of w[., n_in]. */
struct weight *weight_slice(struct device *device, const float *w, int n_in, int first_row, int n_rows,
                            int first_column, int n_columns, const int32_t *leaves, int n_leaves);

enum { LEAVES_MAX = 64 };
/* start[n_leaves + 1]: uneven on purpose; where n_in is small, some are empty. */
void cut_leaves(int n_in, int n_leaves, int32_t *start);

/* max |y - expected| <= tolerance * (1 + |expected|), and y is a number */
void check_close(const float *y, const double *expected, size_t n, double tolerance, const char *what);
void check_same_bits(const void *a, const void *b, size_t size_bytes, const char *what);

Suite *matmul_suite(void);
Suite *elementary_suite(void);
Suite *device_suite(void);

#endif
