#ifndef MILLRACE_KERNELS_CPU_DEVICE_H
#define MILLRACE_KERNELS_CPU_DEVICE_H

#include <stdbool.h>

#include "kernels/backend.h"
#include "kernels/cpu/operations.h"
#include "kernels/cpu/pool.h"
#include "kernels/failure.h"
#include "kernels/weight_layout.h"

/*
 * How many rows a product handles at a time. They are enough for a weight's panel to be used many times while
 * it is in the cache, and few enough for the packed rows to stay small. A multiple of 14, 6 and 4.
 */
enum { ROW_BLOCK = 1008 };
enum { HEAD_SIZE_MAX = 256 };
enum { LEAVES_MOST = 64 };   /* of a weight */
enum { ROWS_PER_PART = 16 }; /* what a thread takes at a time of an operation that goes row by row */

/* One open CPU device. Written by the thread that owns it; the pool's threads write only their own scratch.
 */
struct device {
    const struct operations *operations;
    enum precision precision; /* never AUTO */
    struct pool *pool;
    int n_threads, max_rows, max_positions, max_columns;
    size_t cache_bytes;                /* the second-level cache of one core */
    void (*progressed)(void *context); /* struct device_options */
    void *progress_context;

    float *packed_rows; /* the rows of a product (strips.h), written by all threads */
    size_t packed_floats;
    float *row_scales;     /* int8: [ROW_BLOCK, LEAVES_MOST], of the packed rows; else NULL */
    float *thread_scratch; /* [n_threads, thread_scratch_floats] (attention_scratch.h) */
    size_t thread_scratch_floats;
    float *unpacked; /* [n_threads, unpacked_floats]: panels of bfloat16 as floats; NULL in float32 */
    size_t unpacked_floats;

    struct error failure; /* the first; status STATUS_OK: none */
    char description[64];
};

/* A matrix w[n_out, n_in] in panels of 16 outputs (weight_layout.h). */
struct weight {
    struct weight_panels layout;
    union {
        float *panels;   /* F32 */
        uint16_t *pairs; /* BF16 */
        int8_t *fours;   /* I8 */
    };
    float *scale; /* I8: [n_panels * 16], of the outputs; else NULL */
    int n_in, n_out, n_panels;
    int n_leaves;
    int32_t *leaf_start;  /* [n_leaves + 1], of the inputs */
    int32_t *panel_start; /* [n_leaves + 1], of the inputs of a panel, where leaves are filled up */
};

static inline int divide_up(int n, int by)
{
    return (n + by - 1) / by;
}

static inline int least(int a, int b)
{
    return a < b ? a : b;
}

static inline float *device_thread_scratch(const struct device *device, int thread)
{
    return device->thread_scratch + (size_t)thread * device->thread_scratch_floats;
}

static inline float *device_unpacked(const struct device *device, int thread)
{
    return device->unpacked + (size_t)thread * device->unpacked_floats;
}

static inline enum dtype device_activation(const struct device *device)
{
    return device->precision == PRECISION_F32 ? DTYPE_F32 : DTYPE_BF16;
}

/* A part of an operation, or a piece of a long part, is done. From any thread. */
static inline void device_progressed(const struct device *device)
{
    if (device->progressed)
        device->progressed(device->progress_context);
}

/* Memory of n floats, aligned to 64 bytes (large blocks to huge pages), not cleared; NULL when there is none.
 */
float *device_floats(size_t n);

/* failure.h, for this device. */
static inline bool device_accepts(struct device *device, const char *operation, int64_t rows, int64_t columns)
{
    return failure_accepts(&device->failure, operation, rows, device->max_rows, columns, device->max_columns);
}

/* pool_run with subnormal numbers as zeros on every thread (flush.h). */
void device_run_flushing(const struct device *device, void (*function)(void *context, int part, int thread),
                         void *context, int n_parts);

/* How much scratch cpu_open reserves. */
size_t cpu_scratch_bytes(const struct device_options *options);

enum status cpu_open(struct device **device, const struct device_options *options, struct error *error);
void cpu_close(struct device *device);
enum status cpu_weight_create(struct device *device, enum weight_use use, const struct matrix_view *parts,
                              int n_parts, const int32_t *leaf_start, int n_leaves, struct weight **weight,
                              struct error *error);
void cpu_weight_free(struct device *device, struct weight *weight);
size_t cpu_weight_bytes(const struct device *device, enum weight_use use, int n_out, int n_in,
                        const int32_t *leaf_start, int n_leaves);
void cpu_head_choose(struct device *device, const struct head_choose *op);

#endif
