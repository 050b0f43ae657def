#include "cli/eval/axis.h"

#include <math.h>

enum { MARKS_WANTED = 4 };
static const double round_numbers[] = {1, 2, 5, 10};
static const double logarithmic_from = 8;

/* The largest number that is 1, 2 or 5 times a power of ten and not above `value`. */
static double round_down(double value)
{
    double power = pow(10, floor(log10(value)));
    int i = 0;
    while (i < 3 && round_numbers[i + 1] * power <= value * (1 + 1e-9))
        i++;
    return round_numbers[i] * power;
}

static double next_round(double value)
{
    double power = pow(10, floor(log10(value * (1 + 1e-9))));
    int i = 0;
    while (round_numbers[i] * power <= value * (1 + 1e-9))
        i++;
    return round_numbers[i] * power;
}

static void mark_logarithmic(struct axis *axis, double least, double most)
{
    double mark = round_down(least);
    axis->least = mark;
    axis->marks[axis->n_marks++] = mark;
    while (mark < most && axis->n_marks < AXIS_MARKS_MAX) {
        mark = next_round(mark);
        axis->marks[axis->n_marks++] = mark;
    }
    axis->most = mark;
}

static void mark_linear(struct axis *axis, double most)
{
    double step = round_down(most / MARKS_WANTED);
    axis->least = 0;
    while (axis->n_marks < AXIS_MARKS_MAX) {
        axis->most = (double)axis->n_marks * step;
        axis->marks[axis->n_marks++] = axis->most;
        if (axis->most >= most)
            break;
    }
}

void axis_init(struct axis *axis, double least, double most)
{
    *axis = (struct axis){.is_logarithmic = most > logarithmic_from * least};
    if (axis->is_logarithmic)
        mark_logarithmic(axis, least, most);
    else
        mark_linear(axis, most);
}

double axis_place(const struct axis *axis, double value)
{
    double place = (value - axis->least) / (axis->most - axis->least);
    if (axis->is_logarithmic)
        place = value > 0 ? log(value / axis->least) / log(axis->most / axis->least) : 0;
    return place < 0 ? 0 : place > 1 ? 1 : place;
}
