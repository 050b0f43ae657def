#ifndef MILLRACE_KERNELS_CPU_FUNCTIONS_H
#define MILLRACE_KERNELS_CPU_FUNCTIONS_H

#include "kernels/backend.h"
#include "kernels/cpu/isa.h"

/* The operations of this copy of the arithmetic; meaning and shapes: backend.h. */
void ISA(embed)(struct device *device, const void *table, int32_t first, int32_t n, int width,
                const int32_t *ids, int rows, float *x);
void ISA(gather_rows)(struct device *device, const void *x, size_t row_bytes, const int32_t *index, int rows,
                      void *y);
void ISA(matmul)(struct device *device, const struct matmul *op);
void ISA(norm_modulate)(struct device *device, const struct norm_modulate *op);
void ISA(gated_add)(struct device *device, const struct gated_add *op);
void ISA(attention)(struct device *device, const struct attention *op);
void ISA(head_scan)(struct device *device, const struct head_scan *op);
void ISA(head_draw)(struct device *device, const struct head_draw *op);
void ISA(add)(struct device *device, const float *a, const float *b, int64_t n, float *y);

#endif
