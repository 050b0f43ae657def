#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/cpu/device.h"
#include "common/machine/host_memory.h"

/* The cpu backend's table. Memory is the host's, and an operation is done when its call returns. So
 * `synchronize` and `wait` have nothing to wait for and return the first failure. Operations go to the copy
 * of the arithmetic that `open` chose. */

static int count(void)
{
    return 1;
}

static const char *describe(const struct device *device)
{
    return device->description;
}

static enum dtype activation_type(const struct device *device)
{
    return device_activation(device);
}

static enum dtype table_type(const struct device *device)
{
    return device_activation(device);
}

static struct device_memory memory(const struct device *device)
{
    (void)device;
    size_t total = host_memory_bytes();
    size_t free_bytes = (size_t)sysconf(_SC_PAGESIZE) * (size_t)sysconf(_SC_AVPHYS_PAGES);
    return (struct device_memory){.total_bytes = total,
                                  .free_bytes = free_bytes < total ? free_bytes : total};
}

static enum status synchronize(struct device *device, struct error *error)
{
    return failure_tell(&device->failure, error);
}

static void mark(struct device *device, int slot)
{
    (void)device, (void)slot;
}

static enum status wait(struct device *device, int slot, struct error *error)
{
    (void)slot;
    return synchronize(device, error);
}

static void *allocate(struct device *device, size_t size_bytes)
{
    (void)device;
    void *memory = device_floats((size_bytes + sizeof(float) - 1) / sizeof(float));
    return memory != NULL ? memset(memory, 0, size_bytes) : NULL;
}

static void release(struct device *device, void *memory)
{
    (void)device;
    free(memory);
}

static void copy(struct device *device, void *to, const void *from, size_t size_bytes)
{
    if (device->failure.status == STATUS_OK && size_bytes > 0)
        memcpy(to, from, size_bytes);
}

static void embed(struct device *device, const void *table, int32_t first, int32_t n, int width,
                  const int32_t *ids, int rows, float *x)
{
    device->operations->embed(device, table, first, n, width, ids, rows, x);
}

static void gather_rows(struct device *device, const void *x, size_t row_bytes, const int32_t *index,
                        int rows, void *y)
{
    device->operations->gather_rows(device, x, row_bytes, index, rows, y);
}

static void select_ids(struct device *device, const int32_t *ids, const int32_t *index, const int32_t *other,
                       int n, int32_t *y)
{
    if (device->failure.status == STATUS_OK)
        for (int i = 0; i < n; i++)
            y[i] = index[i] >= 0 ? ids[index[i]] : other[i];
}

static void write_drawn(struct device *device, const struct drawn_token *drawn, int n_ranks,
                        const int32_t *row, int rows, int32_t *ids)
{
    if (device->failure.status == STATUS_OK)
        for (int i = 0; i < n_ranks * rows; i++)
            if (drawn[i].token >= 0)
                ids[row[i % rows]] = drawn[i].token;
}

static void matmul(struct device *device, const struct matmul *op)
{
    device->operations->matmul(device, op);
}

static void norm_modulate(struct device *device, const struct norm_modulate *op)
{
    device->operations->norm_modulate(device, op);
}

static void gated_add(struct device *device, const struct gated_add *op)
{
    device->operations->gated_add(device, op);
}

static void attention(struct device *device, const struct attention *op)
{
    device->operations->attention(device, op);
}

static void head_scan(struct device *device, const struct head_scan *op)
{
    device->operations->head_scan(device, op);
}

static void head_draw(struct device *device, const struct head_draw *op)
{
    device->operations->head_draw(device, op);
}

static void add(struct device *device, const float *a, const float *b, int64_t n, float *y)
{
    device->operations->add(device, a, b, n, y);
}

static bool segment_begin(struct device *device, const struct segment_key *key)
{
    (void)device, (void)key;
    return true;
}

static void segment_end(struct device *device)
{
    (void)device;
}

const struct backend backend_cpu = {
    .name = "cpu",
    .on_host = true,
    .count = count,
    .has_laws = true,
    .open = cpu_open,
    .close = cpu_close,
    .describe = describe,
    .activation_type = activation_type,
    .table_type = table_type,
    .memory = memory,
    .synchronize = synchronize,
    .mark = mark,
    .wait = wait,
    .allocate = allocate,
    .release = release,
    .host_allocate = allocate,
    .host_release = release,
    .upload = copy,
    .download = copy,
    .weight_create = cpu_weight_create,
    .weight_free = cpu_weight_free,
    .weight_bytes = cpu_weight_bytes,
    .embed = embed,
    .gather_rows = gather_rows,
    .select_ids = select_ids,
    .write_drawn = write_drawn,
    .matmul = matmul,
    .norm_modulate = norm_modulate,
    .gated_add = gated_add,
    .attention = attention,
    .head_scan = head_scan,
    .head_choose = cpu_head_choose,
    .head_draw = head_draw,
    .add = add,
    .segment_begin = segment_begin,
    .segment_end = segment_end,
};
