#ifndef MILLRACE_CLI_EVAL_REPORT_H
#define MILLRACE_CLI_EVAL_REPORT_H

#include <jansson.h>

#include "cli/eval/metrics.h"

/* Gives the tables' content as JSON: a list with an object for each row. An estimate is {"mean": m, "error":
 * e}; a value that is not known is null. `judge` may be NULL. NULL without memory. */
json_t *report_rows(const struct metrics *rows, size_t n, const char *judge);
json_t *report_differences(const struct metrics *rows, size_t n, const struct metrics *others,
                           size_t n_others, const char *judge);

#endif
