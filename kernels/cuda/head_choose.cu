#include <math.h>

#include "kernels/cuda/device.h"
#include "kernels/cuda/gpu.cuh"
#include "kernels/cuda/operations.h"

/*
 * Decides what becomes of each row, by the law of backend.h in double. A thread has a row and does a few
 * dozen operations. If no logit of a row is a finite number, the defect lies before this step: the row's
 * number goes to the device's pinned `bad_row`, which the host reads when it waits.
 */
namespace head_chooses
{
enum { THREADS = 128 };

struct row_mass {
    double max;      /* M: of all groups and the left-out token */
    double others;   /* S = Σ over groups of sum * exp(max - M) */
    double left_out; /* e = exp(left-out logit - M) */
};

__device__ inline struct exp_sum group_of(const struct head_choose &op, int group, int row)
{
    return op.groups[(int64_t)group * op.rows + row];
}

__device__ inline double group_mass(struct exp_sum group, double max)
{
    return group.max == -INFINITY ? 0 : group.sum * exp(group.max - max);
}

/* The logit of the rank that holds the left-out token: all other ranks say -INFINITY. */
__device__ inline float left_out_logit(const struct head_choose &op, int row)
{
    float logit = op.left_out_logit[row];
    for (int rank = 1; rank < op.n_ranks; rank++) {
        float other = op.left_out_logit[(int64_t)rank * op.rows + row];
        logit = other > logit ? other : logit;
    }
    return logit;
}

__device__ inline struct row_mass weigh(const struct head_choose &op, int row)
{
    float left_out = left_out_logit(op, row);
    struct row_mass mass = {left_out, 0, 0};
    for (int i = 0; i < op.n_groups; i++)
        if (group_of(op, i, row).max > mass.max)
            mass.max = group_of(op, i, row).max;
    for (int i = 0; i < op.n_groups; i++)
        mass.others += group_mass(group_of(op, i, row), mass.max);
    mass.left_out = left_out == -INFINITY ? 0 : exp(left_out - mass.max);
    return mass;
}

/* Chooses the group in which the running sum passes u * S. The choice's target is what is left of u * S
 * within that group. Where rounding lets the sum end before u * S, it chooses the last group with any mass,
 * to its end. */
__device__ inline void choose_group(const struct head_choose &op, int row, const struct row_mass &mass,
                                    struct row_choice *choice)
{
    double target = op.u_draw[row] * mass.others, before = 0;
    for (int i = 0; i < op.n_groups; i++) {
        struct exp_sum group = group_of(op, i, row);
        double part = group_mass(group, mass.max);
        if (part <= 0)
            continue;
        choice->group = i;
        choice->target = (target - before) * exp(mass.max - group.max);
        before += part;
        if (before > target)
            return;
    }
}

/* false: the row has no finite logits. */
__device__ inline bool choose_row(const struct head_choose &op, int row)
{
    struct row_mass mass = weigh(op, row);
    bool last_step = op.bound[row] < 0;
    double all = mass.others + mass.left_out, total = last_step ? mass.others : all, probability = 0;
    struct row_choice choice = {-1, (float)mass.max, 0, 0};
    bool finite = total > 0 && isfinite(total) && isfinite(mass.max);
    if (finite) {
        choice.log_total = mass.max + log(total);
        probability = last_step ? 1 : 1 - exp(-op.bound[row] * (mass.others / all));
        if (last_step || op.u_jump[row] < probability)
            choose_group(op, row, mass, &choice);
    }
    op.choice[row] = choice;
    op.jump_probability[row] = probability;
    return finite;
}

/* Each block names the first of its bad rows; the host sees that of any one block. */
__global__ void __launch_bounds__(THREADS) head_choose_kernel(struct head_choose op, int32_t *bad_row)
{
    int row = blockIdx.x * THREADS + threadIdx.x;
    bool bad = row < op.rows && !choose_row(op, row);
    int *first = (int *)shared_memory();
    if (threadIdx.x == 0)
        *first = INT32_MAX;
    __syncthreads();
    if (bad)
        atomicMin(first, row);
    __syncthreads();
    if (threadIdx.x == 0 && *first != INT32_MAX)
        *bad_row = *first + 1;
}
} // namespace head_chooses

using namespace head_chooses;

extern "C" void cuda_head_choose(struct device *device, const struct head_choose *op)
{
    if (!device_accepts(device, "head_choose", op->rows, 0) || op->rows == 0)
        return;
    device_check(device,
                 launch(head_choose_kernel, dim3((unsigned)divide_up(op->rows, THREADS)), dim3(THREADS),
                        sizeof(int), device->stream, *op, device->bad_row),
                 "head_choose");
}
