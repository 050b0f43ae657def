#ifndef MILLRACE_KERNELS_CPU_OPERATIONS_H
#define MILLRACE_KERNELS_CPU_OPERATIONS_H

#include "kernels/backend.h"

/* The arithmetic for one instruction set (isa.h). Every member computes the same bits in every copy. */
struct operations {
    const char *name; /* "avx512" */
    void (*pack)(const float *x, int64_t ld_x, int rows, int n, float *to, int64_t ld_to, int width);
    void (*pack_pairs)(const float *x, int64_t ld_x, int rows, int n, uint16_t *to);
    void (*embed)(struct device *device, const void *table, int32_t first, int32_t n, int width,
                  const int32_t *ids, int rows, float *x);
    void (*gather_rows)(struct device *device, const void *x, size_t row_bytes, const int32_t *index,
                        int rows, void *y);
    void (*matmul)(struct device *device, const struct matmul *op);
    void (*norm_modulate)(struct device *device, const struct norm_modulate *op);
    void (*gated_add)(struct device *device, const struct gated_add *op);
    void (*attention)(struct device *device, const struct attention *op);
    void (*head_scan)(struct device *device, const struct head_scan *op);
    void (*head_draw)(struct device *device, const struct head_draw *op);
    void (*add)(struct device *device, const float *a, const float *b, int64_t n, float *y);
};

extern const struct operations operations_generic;
#if defined(__x86_64__)
extern const struct operations operations_avx2;
extern const struct operations operations_avx512;
extern const struct operations operations_amx;
#endif
extern const struct operations operations_tiles; /* for tests: a tile unit in plain C */

#endif
