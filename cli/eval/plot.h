#ifndef MILLRACE_CLI_EVAL_PLOT_H
#define MILLRACE_CLI_EVAL_PLOT_H

#include <stdio.h>

#include "cli/eval/metrics.h"

/*
 * Draws quality against steps as SVG. The left axis shows the perplexity of the texts, and of others to
 * compare with, with bars of one standard error. The right axis shows the seconds of a text where they are
 * known. Steps are on a logarithmic axis.
 */
struct plot {
    const char *title, *judge;
    const struct metrics *rows;
    size_t n;
    const struct metrics *others; /* or none */
    size_t n_others;
};

/* FAILED_PRECONDITION where no row has both a perplexity and a number of steps. */
enum status plot_write(const struct plot *plot, const char *path, struct error *error);

#endif
