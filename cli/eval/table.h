#ifndef MILLRACE_CLI_EVAL_TABLE_H
#define MILLRACE_CLI_EVAL_TABLE_H

#include <stdio.h>

#include "cli/eval/metrics.h"

/* Prints the tables of `millrace eval`. `judge` is NULL where no judge was asked; then there is no
 * perplexity. */

void table_print(const char *title, const struct metrics *rows, size_t n, const char *judge, FILE *out);

/* Prints how many standard errors `rows` are away from those of `others` with the same number of steps. */
void table_print_differences(const struct metrics *rows, size_t n, const struct metrics *others,
                             size_t n_others, const char *judge, FILE *out);

#endif
