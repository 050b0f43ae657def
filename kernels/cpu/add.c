#include "kernels/cpu/device.h"
#include "kernels/cpu/functions.h"
#include "kernels/cpu/simd.h"

enum { ADD_FLOATS = 16384 }; /* of a part */

struct addition {
    const float *a, *b;
    float *y;
    int64_t n;
};

static void add_part(void *context, int part, int thread)
{
    (void)thread;
    const struct addition *op = context;
    int64_t i = (int64_t)part * ADD_FLOATS, end = i + ADD_FLOATS < op->n ? i + ADD_FLOATS : op->n;
    for (; i + LANES <= end; i += LANES)
        vf_store(op->y + i, vf_add(vf_load(op->a + i), vf_load(op->b + i)));
    int left = (int)(end - i);
    if (left > 0)
        vf_store_first(op->y + i, left,
                       vf_add(vf_load_first(op->a + i, left), vf_load_first(op->b + i, left)));
}

void ISA(add)(struct device *device, const float *a, const float *b, int64_t n, float *y)
{
    struct addition op = {a, b, y, n};
    if (device_accepts(device, "add", 0, 0))
        pool_run(device->pool, add_part, &op, (int)((n + ADD_FLOATS - 1) / ADD_FLOATS));
}
