#ifndef MILLRACE_WORKER_BENCH_H
#define MILLRACE_WORKER_BENCH_H

#include "worker/model.h"

/*
 * `millrace-worker --bench`: `batch` texts of `length` tokens each, together, in `n_steps` steps, on all ranks, without a coordinator.
 * Rank 0 prints one JSON object: seconds, tokens/s, shares of the time, the arithmetic that was actually done and its rate, and the rate
 * of a large matrix product on all ranks at once, measured in the same run: the ceiling.
 */
struct bench_options {
    const char *model_name;                         /* as it is printed */
    int batch, length, n_steps, n_threads, repeats; /* the fastest repeat counts */
    bool without_thinning;                          /* do for every row what only some rows need */
};

enum status bench_run(struct model *model, const struct bench_options *options, struct error *error);

#endif
