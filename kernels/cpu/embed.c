#include <string.h>

#include "kernels/cpu/bf16.h"
#include "kernels/cpu/device.h"
#include "kernels/cpu/functions.h"

/* Both operations copy rows of a table: by token id with zeros for ids of another rank, or by index. */
struct row_copy {
    const char *table;
    int32_t first, n; /* the rows that are here */
    size_t row_bytes; /* of the table */
    const int32_t *ids;
    int rows;
    char *x;
    int widened; /* numbers of a row that become floats on the way; 0: a row is copied as it is */
};

static void widen(const uint16_t *from, int n, float *to)
{
    int i = 0;
    for (; i + LANES <= n; i += LANES)
        vf_store(to + i, vf_load_bf16(from + i));
    for (; i < n; i++)
        to[i] = bf16_value(from[i]);
}

static void copy_part(void *context, int part, int thread)
{
    (void)thread;
    const struct row_copy *copy = context;
    size_t bytes = copy->widened ? (size_t)copy->widened * sizeof(float) : copy->row_bytes;
    int end = least(copy->rows, (part + 1) * ROWS_PER_PART);
    for (int row = part * ROWS_PER_PART; row < end; row++) {
        int64_t index = (int64_t)copy->ids[row] - copy->first;
        char *to = copy->x + (size_t)row * bytes;
        const char *from = copy->table + (size_t)index * copy->row_bytes;
        if (index < 0 || index >= copy->n)
            memset(to, 0, bytes);
        else if (copy->widened)
            widen((const uint16_t *)from, copy->widened, (float *)to);
        else
            memcpy(to, from, bytes);
    }
}

void ISA(embed)(struct device *device, const void *table, int32_t first, int32_t n, int width,
                const int32_t *ids, int rows, float *x)
{
    bool narrow = device_activation(device) != DTYPE_F32;
    size_t row_bytes = (size_t)width * dtype_bytes(device_activation(device));
    struct row_copy copy = {table, first, n, row_bytes, ids, rows, (char *)x, narrow ? width : 0};
    if (device_accepts(device, "embed", rows, width))
        pool_run(device->pool, copy_part, &copy, divide_up(rows, ROWS_PER_PART));
}

void ISA(gather_rows)(struct device *device, const void *x, size_t row_bytes, const int32_t *index, int rows,
                      void *y)
{
    struct row_copy copy = {x, 0, INT32_MAX, row_bytes, index, rows, y, 0};
    if (device_accepts(device, "gather_rows", rows, (int64_t)(row_bytes / sizeof(float))))
        pool_run(device->pool, copy_part, &copy, divide_up(rows, ROWS_PER_PART));
}
