#include <math.h>

#include "kernels/cpu/device.h"
#include "kernels/cpu/precise.h"

/*
 * What becomes of each row: a few operations per row in double precision, the same code on every machine.
 * A row none of whose logits is a finite number is a defect upstream and becomes the device's failure.
 */
struct row_mass {
    double max;      /* M: of all groups and the left-out token */
    double others;   /* S = Σ over groups of sum * exp(max - M) */
    double left_out; /* e = exp(left-out logit - M) */
};

static struct exp_sum group_of(const struct head_choose *op, int group, int row)
{
    return op->groups[(int64_t)group * op->rows + row];
}

static double group_mass(struct exp_sum group, double max)
{
    return group.max == -INFINITY ? 0 : group.sum * precise_exp(group.max - max);
}

/* The holder's value: all other ranks say -INFINITY. */
static float left_out_logit(const struct head_choose *op, int row)
{
    float logit = op->left_out_logit[row];
    for (int rank = 1; rank < op->n_ranks; rank++) {
        float other = op->left_out_logit[(int64_t)rank * op->rows + row];
        logit = other > logit ? other : logit;
    }
    return logit;
}

static struct row_mass weigh(const struct head_choose *op, int row)
{
    float left_out = left_out_logit(op, row);
    struct row_mass mass = {.max = left_out};
    for (int i = 0; i < op->n_groups; i++)
        if (group_of(op, i, row).max > mass.max)
            mass.max = group_of(op, i, row).max;
    for (int i = 0; i < op->n_groups; i++)
        mass.others += group_mass(group_of(op, i, row), mass.max);
    mass.left_out = left_out == -INFINITY ? 0 : precise_exp(left_out - mass.max);
    return mass;
}

/* The group in which the running sum passes `target`, and what is left of that within it. Where rounding lets
 * the sum end before, the last group with any mass, to its end. */
static void choose_group(const struct head_choose *op, int row, const struct row_mass *mass,
                         struct row_choice *choice)
{
    double target = op->u_draw[row] * mass->others, before = 0;
    for (int i = 0; i < op->n_groups; i++) {
        struct exp_sum group = group_of(op, i, row);
        double part = group_mass(group, mass->max);
        if (part <= 0)
            continue;
        choice->group = i;
        choice->target = (target - before) * precise_exp(mass->max - group.max);
        before += part;
        if (before > target)
            return;
    }
}

/* The first group that has the largest logit of the row. */
static void choose_likeliest(const struct head_choose *op, int row, struct row_choice *choice)
{
    choice->target = -1;
    for (int i = 0; i < op->n_groups; i++)
        if (choice->group < 0 ? group_of(op, i, row).max > -INFINITY
                              : group_of(op, i, row).max > group_of(op, choice->group, row).max)
            choice->group = i;
}

static int32_t noise_token(const struct row_law *law, double u)
{
    if (u < law->mask_share)
        return law->mask;
    int32_t id = (int32_t)((u - law->mask_share) / (1 - law->mask_share) * law->n_noise);
    return id < law->n_noise ? id : law->n_noise - 1;
}

/* Sets P(jump) and what is drawn. total: the sum that p is normalised by; x is in it under MIXTURE alone. */
static void follow_law(const struct head_choose *op, int row, const struct row_mass *mass, double total,
                       struct row_choice *choice)
{
    const struct row_law *law = &op->law[row];
    double *jump = &op->jump_probability[row], u = op->u_jump[row];
    double held = law->share * (mass->left_out / total) + law->floor, noise = 0;
    switch ((enum row_rule)law->rule) {
    case ROW_HAZARD:
        *jump = 1 - precise_exp(-law->bound * (mass->others / total));
        break;
    case ROW_SCORE:
        *jump = precise_exp(fmin(law->log_scale + choice->log_total, 0));
        break;
    case ROW_MIXTURE:
        noise = law->noise / held + law->noise_always;
        *jump = noise + law->from_p / held;
        break;
    case ROW_DRAWN:
    case ROW_LIKELIEST:
        *jump = 1;
        break;
    }
    if (u < noise)
        choice->group = -2 - noise_token(law, op->u_draw[row]);
    else if (u < *jump && law->rule == ROW_LIKELIEST)
        choose_likeliest(op, row, choice);
    else if (u < *jump)
        choose_group(op, row, mass, choice);
}

static void choose_row(struct device *device, const struct head_choose *op, int row)
{
    struct row_mass mass = weigh(op, row);
    bool last_step = op->law ? op->law[row].rule != ROW_HAZARD : op->bound[row] < 0;
    double all = mass.others + mass.left_out, total = last_step ? mass.others : all;
    struct row_choice *choice = &op->choice[row];
    *choice = (struct row_choice){.group = -1, .max = (float)mass.max};
    op->jump_probability[row] = 0;
    if (!(total > 0 && isfinite(total) && isfinite(mass.max))) {
        failure_keep(&device->failure, STATUS_INTERNAL,
                     "row %d of the head has no finite logits; is the model damaged?", row);
        return;
    }
    choice->log_total = mass.max + precise_log(total);
    if (op->law) {
        follow_law(op, row, &mass, total, choice);
        return;
    }
    op->jump_probability[row] = last_step ? 1 : 1 - precise_exp(-op->bound[row] * (mass.others / all));
    if (last_step || op->u_jump[row] < op->jump_probability[row])
        choose_group(op, row, &mass, choice);
}

void cpu_head_choose(struct device *device, const struct head_choose *op)
{
    if (!device_accepts(device, "head_choose", op->rows, 0))
        return;
    for (int row = 0; row < op->rows; row++)
        choose_row(device, op, row);
}
