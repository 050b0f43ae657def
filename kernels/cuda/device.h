#ifndef MILLRACE_KERNELS_CUDA_DEVICE_H
#define MILLRACE_KERNELS_CUDA_DEVICE_H

#include <cuda_runtime.h>

#include "kernels/backend.h"
#include "kernels/cuda/segment.h"
#include "kernels/cuda/upload.h"
#include "kernels/failure.h"
#include "kernels/weight_layout.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * One open GPU. Everything is enqueued on one stream, so operations may hand scratch on to each other without
 * waiting.
 *
 * Errors. Every CUDA call goes through device_check; the first that fails is kept in `failure`, and from then
 * on operations do nothing. A kernel that fails while it runs shows up at the next wait, and CUDA then
 * refuses everything in this process (a "sticky" error): the error message says so, and the worker ends.
 */
enum { STAGING_HALVES = 2 };

struct device {
    int index;
    enum precision precision; /* never AUTO */
    int max_rows, max_positions, max_columns;
    int major, minor; /* compute capability */
    int n_multiprocessors;
    int shared_bytes_max; /* of a block that asks for more than 48 KiB */

    cudaStream_t stream;
    cudaEvent_t marks[DEVICE_MARKS];

    void *scratch; /* device memory; the running operation has all of it (device_scratch) */
    size_t scratch_bytes;
    int32_t *bad_row; /* pinned, written by head_choose: 1 + a row without finite logits; 0: none */
    void *staging;    /* pinned; weights pass through it (weight.c) */
    size_t staging_bytes;
    cudaEvent_t staged[STAGING_HALVES]; /* passed when the half may be filled again */
    struct uploads uploads;
    struct segments segments;
    struct product_library *library; /* cuBLASLt (library.h); NULL: own products only */

    void (*told)(void *context, const char *line); /* as in device_options */
    void *told_context;

    struct error failure; /* the first; status STATUS_OK: none */
    char description[160];
};

/* A matrix w[n_out, n_in] in rows of ld elements (weight_layout.h). */
struct weight {
    enum weight_use use;
    enum weight_format format;
    int n_in, n_out;
    int64_t ld;
    void *data;       /* NULL where n_out or n_in is 0 */
    float *scale;     /* E4M3: [n_out], w = scale[row] * e4m3; else NULL */
    int tile_columns; /* of the own product's tiles (matmul.h); a matter of n_out and n_in alone */
    struct library_choice *choice; /* the library's algorithm, or NULL: the own product */
};

static inline int divide_up(int n, int by)
{
    return n / by + (n % by != 0);
}

/* failure.h, for this device. */
static inline bool device_accepts(struct device *device, const char *operation, int64_t rows, int64_t columns)
{
    return failure_accepts(&device->failure, operation, rows, device->max_rows, columns, device->max_columns);
}

/* Keeps a CUDA error as the failure "what: CUDA's words". Returns true when there is no error. */
bool device_check(struct device *device, cudaError_t result, const char *what);

/* One line for the log. */
void device_tell(struct device *device, const char *line);

/* Returns the scratch that all operations share, at least size_bytes of it; NULL after keeping a failure. It
 * is good until the next operation is enqueued: that one runs later on the stream and may write over it. */
void *device_scratch(struct device *device, const char *operation, size_t size_bytes);

/* The scratch that a device of these options reserves: as much as its most demanding operation asks for. */
size_t device_scratch_bytes(const struct device_options *options, enum precision precision);

/* Allocates device memory at start-up; NULL after keeping a failure that names the size, what is free and
 * what would fit. */
void *device_allocate(struct device *device, size_t size_bytes);
void device_release(struct device *device, void *memory);

enum status cuda_open(struct device **device, const struct device_options *options, struct error *error);
void cuda_close(struct device *device);
/* UNAVAILABLE: no driver, one too old, or no GPU. *n_devices may be NULL. */
enum status cuda_probe(int *n_devices, struct error *error);

enum status cuda_weight_create(struct device *device, enum weight_use use, const struct matrix_view *parts,
                               int n_parts, const int32_t *leaf_start, int n_leaves, struct weight **weight,
                               struct error *error);
void cuda_weight_free(struct device *device, struct weight *weight);
size_t cuda_weight_bytes(const struct device *device, enum weight_use use, int n_out, int n_in,
                         const int32_t *leaf_start, int n_leaves);

#ifdef __cplusplus
}
#endif

#endif
