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

/* Makes a scale for values from `least` to `most`, both above 0. It is logarithmic where `most` is more than
 * 8 times `least`; otherwise it begins at 0. */
void axis_init(struct axis *axis, double least, double most);

/* Where a value lies: 0 at the lower end, 1 at the upper end. Values beyond an end are put at that end. */
double axis_place(const struct axis *axis, double value);

#endif
