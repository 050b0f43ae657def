#ifndef MILLRACE_CLI_EVAL_TABLE_H
#define MILLRACE_CLI_EVAL_TABLE_H

#include <stdio.h>

#include "cli/eval/metrics.h"

/* The pages of `millrace eval`. `judge` is NULL where there was none: there is no perplexity then. */

void table_print(const char *title, const struct metrics *rows, size_t n, const char *judge, FILE *out);

/* How far `rows` are from those of `others` that have the same number of steps, in standard errors. */
void table_print_differences(const struct metrics *rows, size_t n, const struct metrics *others,
                             size_t n_others, const char *judge, FILE *out);

#endif
