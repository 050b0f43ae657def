#include <string.h>

#include "kernels/cpu/device.h"
#include "kernels/cpu/functions.h"

/* Both operations copy rows of a table: by token id with zeros for ids of another rank, or by index. */
struct row_copy {
    const char *table;
    int32_t first, n; /* the rows that are here */
    size_t row_bytes;
    const int32_t *ids;
    int rows;
    char *x;
};

static void copy_part(void *context, int part, int thread)
{
    (void)thread;
    const struct row_copy *copy = context;
    size_t bytes = copy->row_bytes;
    int end = least(copy->rows, (part + 1) * ROWS_PER_PART);
    for (int row = part * ROWS_PER_PART; row < end; row++) {
        int64_t from = (int64_t)copy->ids[row] - copy->first;
        char *to = copy->x + (size_t)row * bytes;
        if (from >= 0 && from < copy->n)
            memcpy(to, copy->table + (size_t)from * bytes, bytes);
        else
            memset(to, 0, bytes);
    }
}

void ISA(embed)(struct device *device, const float *table, int32_t first, int32_t n, int width,
                const int32_t *ids, int rows, float *x)
{
    struct row_copy copy = {(const char *)table, first, n, (size_t)width * sizeof *x, ids, rows, (char *)x};
    if (device_accepts(device, "embed", rows, width))
        pool_run(device->pool, copy_part, &copy, divide_up(rows, ROWS_PER_PART));
}

void ISA(gather_rows)(struct device *device, const void *x, size_t row_bytes, const int32_t *index, int rows,
                      void *y)
{
    struct row_copy copy = {x, 0, INT32_MAX, row_bytes, index, rows, y};
    if (device_accepts(device, "gather_rows", rows, (int64_t)(row_bytes / sizeof(float))))
        pool_run(device->pool, copy_part, &copy, divide_up(rows, ROWS_PER_PART));
}
