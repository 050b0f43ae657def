#ifndef MILLRACE_KERNELS_WEIGHT_PARTS_H
#define MILLRACE_KERNELS_WEIGHT_PARTS_H

#include "kernels/backend.h"

/* What every backend's weight_create checks before it reads: the formats and shapes of the parts, and the
 * borders of the leaves. *n_out is the number of rows of all parts together. */
enum status weight_parts_check(const struct matrix_view *parts, int n_parts, const int32_t *leaf_start,
                               int n_leaves, int *n_out, struct error *error);

/* The whole row of the tensor of which the stacked parts are views, *width elements. */
const void *weight_parts_whole(const struct matrix_view *parts, int row, enum dtype *dtype, int64_t *width);

/* The element at (row, column) of the stacked parts, and its format. */
const void *weight_parts_at(const struct matrix_view *parts, int row, int column, enum dtype *dtype);

#endif
