#include "kernels/cpu/device.h"
#include "kernels/cpu/functions.h"
#include "kernels/cpu/simd.h"

/* x[i, :] += gate ⊙ (y[i, :] + bias): an addition and one fused multiply-add per element */
static inline struct vf gated(const struct gated_add *op, int i, struct vf x, struct vf y, struct vf gate)
{
    int left = op->width - i;
    if (op->bias != NULL)
        y = vf_add(y, left >= LANES ? vf_load(op->bias + i) : vf_load_first(op->bias + i, left));
    return vf_fma(gate, y, x);
}

static void gated_row(const struct gated_add *op, int row)
{
    const float *gate = op->modulation + op->condition_of_row[row] * op->ld_modulation + op->gate_offset;
    const float *y = op->y + (int64_t)row * op->width;
    float *x = op->x + (int64_t)row * op->width;
    int i = 0;
    for (; i + LANES <= op->width; i += LANES)
        vf_store(x + i, gated(op, i, vf_load(x + i), vf_load(y + i), vf_load(gate + i)));
    int left = op->width - i;
    if (left > 0) {
        struct vf tail = vf_load_first(x + i, left);
        tail = gated(op, i, tail, vf_load_first(y + i, left), vf_load_first(gate + i, left));
        vf_store_first(x + i, left, tail);
    }
}

static void gated_part(void *context, int part, int thread)
{
    (void)thread;
    const struct gated_add *op = context;
    int end = least(op->rows, (part + 1) * ROWS_PER_PART);
    for (int row = part * ROWS_PER_PART; row < end; row++)
        gated_row(op, row);
}

void ISA(gated_add)(struct device *device, const struct gated_add *op)
{
    struct gated_add copy = *op;
    if (device_accepts(device, "gated_add", op->rows, op->width))
        pool_run(device->pool, gated_part, &copy, divide_up(op->rows, ROWS_PER_PART));
}
