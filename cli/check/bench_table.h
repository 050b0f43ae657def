#ifndef MILLRACE_CLI_CHECK_BENCH_TABLE_H
#define MILLRACE_CLI_CHECK_BENCH_TABLE_H

#include <jansson.h>
#include <stdio.h>

/* Prints the page of `millrace bench`. `rows` is a list of the objects that `millrace-worker --bench` prints.
 */
void bench_table_print(json_t *rows, FILE *out);

#endif
