#include <math.h>

#include "kernels/cpu/device.h"
#include "kernels/cpu/functions.h"
#include "kernels/cpu/head_tile.h"
#include "kernels/cpu/precise.h"
#include "kernels/cpu/strips.h"

/*
 * The draw walks over the tiles of the chosen group, computes the logits of the tile in which the target
 * falls once more, and walks over its columns. Running sums are double, in units of exp(the group's max).
 * When rounding lets a walk end before the target, it takes the last tile or column with any mass. So a token
 * that was left out is never drawn.
 */

/* The tile of first ... end - 1 in which the running sum passes *target; *target becomes what is left within
 * it. -1: no mass. */
static int walk_tiles(const struct exp_sum *tiles, int first, int end, float group_max, double *target)
{
    double before = 0, rest = 0;
    int found = -1;
    for (int tile = first; tile < end; tile++) {
        double mass =
            tiles[tile].sum > 0 ? tiles[tile].sum * precise_exp((double)tiles[tile].max - group_max) : 0;
        if (mass <= 0)
            continue;
        found = tile;
        rest = *target - before;
        before += mass;
        if (before > *target)
            break;
    }
    *target = rest;
    return found;
}

/* The column in which the running sum of values * unit passes target. */
static int walk_columns(const float *values, double unit, double target)
{
    double before = 0;
    int found = 0;
    for (int column = 0; column < VOCABULARY_TILE; column++) {
        if (values[column] <= 0)
            continue;
        found = column;
        before += values[column] * unit;
        if (before > target)
            break;
    }
    return found;
}

/* One row of x as head_multiply reads it. `scratch` has room for it. */
static struct head_rows row_of(const struct head_scan *scan, int row, float *scratch)
{
    int64_t first = (int64_t)row * scan->weight->n_in;
    struct head_rows x = {.a_step = 1, .rows = 1};
    if (scan->weight->layout.format == WEIGHT_F32) {
        x.a = (const float *)scan->x + first;
    } else {
        x.cells = (bf16_cell *)scratch;
        ISA(strips_widen)(scan->weight, (const uint16_t *)scan->x + first, (bf16_cell *)scratch);
    }
    return x;
}

/* The first tile of first ... end - 1 with the group's largest logit. */
static int likeliest_tile(const struct exp_sum *tiles, int first, int end, float group_max)
{
    while (first < end && tiles[first].max != group_max)
        first++;
    return first < end ? first : -1;
}

static int likeliest_column(const float *logits)
{
    int found = 0;
    for (int column = 1; column < VOCABULARY_TILE; column++)
        if (logits[column] > logits[found])
            found = column;
    return found;
}

static struct drawn_token draw_row(const struct head_scan *scan, int row, int group, double target,
                                   float *scratch)
{
    const struct exp_sum *tiles = scan->tiles + (int64_t)row * head_tiles(scan);
    float group_max = scan->groups[(int64_t)group * scan->rows + row].max;
    int first = scan->group_column[group] / VOCABULARY_TILE;
    int end = divide_up(scan->group_column[group + 1], VOCABULARY_TILE);
    bool likeliest = target < 0;
    int tile = likeliest ? likeliest_tile(tiles, first, end, group_max)
                         : walk_tiles(tiles, first, end, group_max, &target);
    if (tile < 0)
        return (struct drawn_token){-1, 0};
    _Alignas(64) float logits[VOCABULARY_TILE], values[VOCABULARY_TILE];
    float unused;
    const struct head_rows x = row_of(scan, row, scratch);
    ISA(head_multiply)(scan->weight, tile, &x, logits);
    ISA(head_logits)(scan, tile, row, logits, logits, &unused);
    struct exp_sum sum = ISA(head_exp)(logits, values);
    int column = likeliest ? likeliest_column(logits)
                           : walk_columns(values, precise_exp((double)sum.max - group_max), target);
    return (struct drawn_token){scan->first_column + tile * VOCABULARY_TILE + column, logits[column]};
}

struct draws {
    const struct device *device;
    const struct head_draw *op;
    bool narrow;
};

static void draw_part(void *context, int part, int thread)
{
    const struct draws *draws = context;
    const struct head_draw *op = draws->op;
    float *scratch = draws->narrow ? device_unpacked(draws->device, thread) : NULL;
    int end = least(op->scan.rows, (part + 1) * ROWS_PER_PART);
    for (int row = part * ROWS_PER_PART; row < end; row++) {
        const struct row_choice *choice = &op->choice[row];
        int group = choice->group - op->first_group;
        if (choice->group < -1 && op->first_group == 0) /* one rank says it for all */
            op->drawn[row] = (struct drawn_token){-2 - choice->group, -INFINITY};
        else if (choice->group < 0 || group < 0 || group >= op->scan.n_groups)
            op->drawn[row] = (struct drawn_token){-1, 0};
        else
            op->drawn[row] = draw_row(&op->scan, row, group, choice->target, scratch);
    }
}

void ISA(head_draw)(struct device *device, const struct head_draw *op)
{
    struct draws draws = {device, op, op->scan.weight->layout.format != WEIGHT_F32};
    int n_parts = divide_up(op->scan.rows, ROWS_PER_PART);
    if (!device_accepts(device, "head_draw", op->scan.rows, op->scan.weight->n_in))
        return;
    if (draws.narrow)
        device_run_flushing(device, draw_part, &draws, n_parts);
    else
        pool_run(device->pool, draw_part, &draws, n_parts);
}
