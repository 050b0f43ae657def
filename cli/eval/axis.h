#ifndef MILLRACE_CLI_EVAL_AXIS_H
#define MILLRACE_CLI_EVAL_AXIS_H

#include <stdbool.h>
#include <stddef.h>

/* A vertical scale of a plot, with its marks at round numbers. */
enum { AXIS_MARKS_MAX = 32 };

struct axis {
    bool is_logarithmic;
    double least, most;
    double marks[AXIS_MARKS_MAX];
    size_t n_marks;
};

/* For values from `least` to `most`, both above 0: from 0 where they are alike, logarithmic where most is
 * more than 8 times least. */
void axis_init(struct axis *axis, double least, double most);

/* 0 at the lower end, 1 at the upper; values beyond are cut. */
double axis_place(const struct axis *axis, double value);

#endif
