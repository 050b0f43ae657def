#ifndef MILLRACE_WORKER_VERIFY_CHI_SQUARE_H
#define MILLRACE_WORKER_VERIFY_CHI_SQUARE_H

#include <stdint.h>

/* Pearson's statistic over any number of rows of cells, which are added one by one. */
struct chi_square {
    double statistic;
    int degrees; /* of freedom */
};

/* Adds one multinomial row: how often each of n cells came up, and each cell's probability. Cells that are
 * expected less than 5 times count as one. A cell that came up although its probability is 0 makes the
 * statistic infinite. */
void chi_square_add(struct chi_square *chi_square, const int64_t *counts, const double *law, int n);

/* P(a statistic at least as large | the law is right): the regularised upper incomplete gamma function
 * Q(df/2, χ²/2). */
double chi_square_p_value(const struct chi_square *chi_square);

#endif
