#ifndef MILLRACE_CLI_CHECK_VERIFY_TABLE_H
#define MILLRACE_CLI_CHECK_VERIFY_TABLE_H

#include <jansson.h>
#include <stdio.h>

/* Prints a line for each finding; worker/verify/report.h says what a finding is. */
void verify_table_print(const json_t *findings, FILE *out);

/* The sum of a list of findings. */
struct verify_totals {
    int n_files, n_checks, n_failed;
};
struct verify_totals verify_totals_of(const json_t *findings);

/* "47 files, 120 checks, all ok", or how many failed. */
void verify_totals_print(struct verify_totals totals, FILE *out);

#endif
