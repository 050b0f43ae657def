#ifndef MILLRACE_BENCH_DEVICE_OPS_H
#define MILLRACE_BENCH_DEVICE_OPS_H

#include "kernels/backend.h"

/*
 * Operations to time on an open device, and what each costs at least: its arithmetic on the matrix units, and
 * the bytes that it must move. Every operand is made once; repeating an operation allocates nothing.
 */
struct device_bench {
    const struct backend *backend;
    struct device *device;
    enum dtype activation;
    int hidden, n_heads, condition, vocabulary; /* of the model whose shapes are timed */
    int sequences, length;                      /* of the batch */
};

struct timed_op {
    const char *name;
    char shape[96];
    double flop;   /* of products: multiply and add are 2 */
    double bytes;  /* read once and written once */
    bool off_roof; /* bound by neither: its floor says nothing */
    void (*run)(const struct device_bench *bench, void *operands);
    void *operands;
    void (*release)(const struct device_bench *bench, void *operands);
};

/* Makes the i-th operation of the model. NOT_FOUND after the last; RESOURCE_EXHAUSTED when its operands do
 * not fit. */
enum status timed_op_make(const struct device_bench *bench, int i, struct timed_op *op, struct error *error);
void timed_op_release(const struct device_bench *bench, struct timed_op *op);

/* The two ceilings: y = x w^T with all three [width, width] in the activation type; and a copy of `bytes`. */
enum status ceiling_product_make(const struct device_bench *bench, int width, struct timed_op *op,
                                 struct error *error);
enum status ceiling_copy_make(const struct device_bench *bench, size_t bytes, struct timed_op *op,
                              struct error *error);

#endif
