#include <math.h>

#include "kernels/cpu/device.h"
#include "kernels/cpu/functions.h"
#include "kernels/cpu/bf16.h"

/*
 * y[i, :] = LN(x[i, :]) ⊙ weight ⊙ (1 + scale) + shift: mean first, then the variance of what is left, then
 * one pass that writes. Lane j of a sum takes the elements i ≡ j mod 16; the lanes are added in one tree.
 */
static const float norm_epsilon = 1e-5f;

static struct vf load_tail(const float *p, int left)
{
    return left >= LANES ? vf_load(p) : vf_load_first(p, left);
}

static void store_tail(float *p, int left, struct vf v)
{
    if (left >= LANES)
        vf_store(p, v);
    else
        vf_store_first(p, left, v);
}

static void store_tail_bf16(uint16_t *p, int left, struct vf v)
{
    if (left >= LANES)
        vf_store_bf16(p, v);
    else
        vf_store_bf16_first(p, left, v);
}

struct normalisation {
    const struct norm_modulate *op;
    enum dtype y_type;
};

static float row_mean(const float *x, int width)
{
    struct vf sum = vf_all(0);
    for (int i = 0; i < width; i += LANES)
        sum = vf_add(sum, load_tail(x + i, width - i));
    return vf_sum(sum) / (float)width;
}

static float row_variance(const float *x, int width, float mean)
{
    const struct vf zero = vf_all(0), center = vf_all(mean);
    struct vf sum = zero;
    for (int i = 0; i < width; i += LANES) {
        struct vf distance = vf_sub(load_tail(x + i, width - i), center);
        if (width - i < LANES)
            distance = vf_first(width - i, distance, zero);
        sum = vf_fma(distance, distance, sum);
    }
    return vf_sum(sum) / (float)width;
}

static void norm_row(const struct normalisation *norm, int row)
{
    const struct norm_modulate *op = norm->op;
    int width = op->width;
    const float *x = op->x + (int64_t)row * width;
    const float *modulation = op->modulation + op->condition_of_row[row] * op->ld_modulation;
    const float *shift = modulation + op->shift_offset, *scale = modulation + op->scale_offset;
    int64_t first = (int64_t)row * width;
    float mean = row_mean(x, width);
    float deviation = sqrtf(row_variance(x, width, mean) + norm_epsilon);
    const struct vf center = vf_all(mean), factor = vf_all(1.0f / deviation), one = vf_all(1);
    for (int i = 0; i < width; i += LANES) {
        int left = width - i;
        struct vf v = vf_mul(vf_sub(load_tail(x + i, left), center), factor);
        v = vf_mul(v, load_tail(op->weight + i, left));
        v = vf_fma(v, vf_add(one, load_tail(scale + i, left)), load_tail(shift + i, left));
        if (norm->y_type == DTYPE_F32)
            store_tail((float *)op->y + first + i, left, v);
        else
            store_tail_bf16((uint16_t *)op->y + first + i, left, v);
    }
}

static void norm_part(void *context, int part, int thread)
{
    (void)thread;
    const struct normalisation *norm = context;
    int end = least(norm->op->rows, (part + 1) * ROWS_PER_PART);
    for (int row = part * ROWS_PER_PART; row < end; row++)
        norm_row(norm, row);
}

void ISA(norm_modulate)(struct device *device, const struct norm_modulate *op)
{
    struct normalisation norm = {op, device_activation(device)};
    if (device_accepts(device, "norm_modulate", op->rows, op->width))
        pool_run(device->pool, norm_part, &norm, divide_up(op->rows, ROWS_PER_PART));
}
