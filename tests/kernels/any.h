#ifndef MILLRACE_TESTS_KERNELS_ANY_H
#define MILLRACE_TESTS_KERNELS_ANY_H

#include <check.h>

#include "kernels/backend.h"

/*
 * Tests that run on every backend: on the one that the program's argument names, in every variant that it
 * has. Data lies in the host's memory as float32 and goes to the device in the format that the operation
 * takes.
 *
 * What is compared. Inputs are rounded to the device's formats first; the reference gets the rounded ones, in
 * double precision. What is left is the operation's own error: float32 sums, and one rounding of the result
 * where it is bfloat16.
 */
extern const struct backend *any_backend; /* defined and set beside main */

/* A way to open any_backend. GPU: a precision. CPU: a precision, an instruction set and threads, and all of
 * one precision give the same bits. */
struct any_variant {
    const char *name;
    enum precision precision;
    int n_threads;
    bool same_bits; /* as the variant before */
};
int any_variants(const struct any_variant **variants);
/* Without fp8 and int8: for operations that a device for those computes as one for bf16 does. */
int any_formats(const struct any_variant **variants);

/* The rows are more than a CPU's product packs at a time. */
enum { ANY_ROWS = 1100, ANY_COLUMNS = 2048, ANY_POSITIONS = 640 };

/* Opens any_backend; fails the test when it does not open. Variants are opened in their order, one after the
 * other. */
struct device *any_open_variant(const struct any_variant *variant);
struct device *any_open(enum precision precision);
/* Fails the test when an operation failed. */
void any_close(struct device *device);

/* A copy on the device; release with any_backend->release. */
void *any_put(struct device *device, const void *from, size_t size_bytes);
/* n floats on the device as `type` (F32 or BF16). */
void *any_put_floats(struct device *device, const float *from, size_t n, enum dtype type);
/* What is on the device, after all operations so far. Fails the test where variants with the same bits
 * differ. */
void any_get(struct device *device, const void *from, size_t size_bytes, void *to);
void any_get_floats(struct device *device, const void *from, size_t n, enum dtype type, float *to);

/* values[i] = the nearest of `type`, ties to even; F32: nothing. */
void any_round(float *values, size_t n, enum dtype type);
/* Rows as the device's fp8 sees them: scale = amax / 448 and the nearest e4m3 of each quotient. */
void any_round_e4m3(float *values, int rows, int columns);

/* The same for int8: scale = amax / 127 and the nearest integer of each quotient. */
void any_round_int8(float *values, int rows, int columns);

/* One result's relative rounding: 2^-8 for BF16, 0 for F32. */
double any_rounding(enum dtype type);

Suite *any_matmul_suite(void);
Suite *any_rows_suite(void);
Suite *any_attention_suite(void);
Suite *any_head_suite(void);
Suite *any_device_suite(void);

#endif
