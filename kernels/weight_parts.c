#include "kernels/weight_parts.h"

enum { LEAVES_MAX = 64, ROUNDING = 16 }; /* backends round sizes up to a multiple of 16 */

static enum status check_parts(const struct matrix_view *parts, int n_parts, int64_t *n_out,
                               struct error *error)
{
    if (n_parts < 1)
        return error_set(error, STATUS_INVALID_ARGUMENT, "a weight needs at least one part");
    *n_out = 0;
    for (int i = 0; i < n_parts; i++) {
        const struct matrix_view *part = &parts[i];
        if (part->dtype != DTYPE_F32 && part->dtype != DTYPE_BF16 && part->dtype != DTYPE_F16)
            return error_set(error, STATUS_INVALID_ARGUMENT,
                             "part %d of a weight is %s; it must be F32, BF16 or F16", i,
                             dtype_name(part->dtype));
        if (part->columns != parts[0].columns)
            return error_set(error, STATUS_INVALID_ARGUMENT,
                             "part %d of a weight has %lld columns, part 0 has %lld", i,
                             (long long)part->columns, (long long)parts[0].columns);
        if (part->rows < 0 || part->columns < 0 || part->columns > INT32_MAX / ROUNDING)
            return error_set(error, STATUS_INVALID_ARGUMENT, "part %d of a weight is [%lld, %lld]", i,
                             (long long)part->rows, (long long)part->columns);
        *n_out += part->rows;
    }
    if (*n_out > INT32_MAX - ROUNDING)
        return error_set(error, STATUS_INVALID_ARGUMENT, "a weight of %lld rows", (long long)*n_out);
    return STATUS_OK;
}

static enum status check_leaves(const int32_t *leaf_start, int n_leaves, int64_t n_in, struct error *error)
{
    if (n_leaves < 1 || n_leaves > LEAVES_MAX || (n_leaves & (n_leaves - 1)) != 0)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "a weight of %d leaves; it must be a power of two up to %d", n_leaves, LEAVES_MAX);
    if (leaf_start == NULL) {
        if (n_leaves != 1)
            return error_set(error, STATUS_INVALID_ARGUMENT, "%d leaves without their borders", n_leaves);
        return STATUS_OK;
    }
    bool rises = leaf_start[0] == 0 && leaf_start[n_leaves] == n_in;
    for (int i = 0; i < n_leaves; i++)
        rises = rises && leaf_start[i] <= leaf_start[i + 1];
    if (!rises)
        return error_set(error, STATUS_INVALID_ARGUMENT, "the leaves' borders must rise from 0 to %lld",
                         (long long)n_in);
    return STATUS_OK;
}

enum status weight_parts_check(const struct matrix_view *parts, int n_parts, const int32_t *leaf_start,
                               int n_leaves, int *n_out, struct error *error)
{
    int64_t n_rows = 0;
    enum status status = check_parts(parts, n_parts, &n_rows, error);
    if (status == STATUS_OK)
        status = check_leaves(leaf_start, n_leaves, parts[0].columns, error);
    if (status == STATUS_OK)
        *n_out = (int)n_rows;
    return status;
}

const void *weight_parts_at(const struct matrix_view *parts, int row, int column, enum dtype *dtype)
{
    int64_t inside = row;
    while (inside >= parts->rows)
        inside -= parts++->rows;
    *dtype = parts->dtype;
    return (const char *)parts->data +
           (size_t)(inside * parts->row_stride + column) * dtype_bytes(parts->dtype);
}

const void *weight_parts_whole(const struct matrix_view *parts, int row, enum dtype *dtype, int64_t *width)
{
    int64_t inside = row;
    while (inside >= parts->rows)
        inside -= parts++->rows;
    *dtype = parts->dtype;
    *width = parts->row_stride;
    return (const char *)parts->data +
           (inside * parts->row_stride - parts->first_column) * (int64_t)dtype_bytes(parts->dtype);
}
