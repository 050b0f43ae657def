#ifndef MILLRACE_KERNELS_CUDA_OPERATIONS_H
#define MILLRACE_KERNELS_CUDA_OPERATIONS_H

#include "kernels/backend.h"

/* The members of the table (kernels/backend.h), each in the file of its name. */

#ifdef __cplusplus
extern "C" {
#endif

void cuda_embed(struct device *device, const void *table, int32_t first, int32_t n, int width,
                const int32_t *ids, int rows, float *x);
void cuda_gather_rows(struct device *device, const void *x, size_t row_bytes, const int32_t *index, int rows,
                      void *y);
void cuda_select_ids(struct device *device, const int32_t *ids, const int32_t *index, const int32_t *other,
                     int n, int32_t *y);
void cuda_write_drawn(struct device *device, const struct drawn_token *drawn, int n_ranks, const int32_t *row,
                      int rows, int32_t *ids);
void cuda_add(struct device *device, const float *a, const float *b, int64_t n, float *y);
void cuda_norm_modulate(struct device *device, const struct norm_modulate *op);
void cuda_gated_add(struct device *device, const struct gated_add *op);
void cuda_matmul(struct device *device, const struct matmul *op);
void cuda_attention(struct device *device, const struct attention *op);
void cuda_head_scan(struct device *device, const struct head_scan *op);
void cuda_head_choose(struct device *device, const struct head_choose *op);
void cuda_head_draw(struct device *device, const struct head_draw *op);

#ifdef __cplusplus
}
#endif

#endif
