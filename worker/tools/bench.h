#ifndef MILLRACE_WORKER_TOOLS_BENCH_H
#define MILLRACE_WORKER_TOOLS_BENCH_H

#include "worker/model/model.h"

/*
 * `millrace-worker --bench`: `batch` texts of `length` tokens each, together, in `n_steps` steps, on all
 * ranks, without a coordinator. Rank 0 prints one JSON object: seconds, tokens/s, shares of the time, the
 * arithmetic that was actually done and its rate, and the rate of a large matrix product on all ranks at
 * once, in the same number format, measured in the same run: the ceiling. Where operations are only enqueued
 * by their calls, the host's clocks say nothing about them: then "share" is null.
 */
struct bench_options {
    const char *model_name;                         /* as it is printed */
    int batch, length, n_steps, n_threads, repeats; /* the fastest repeat counts */
    enum precision precision;                       /* the model's; for the ceiling */
    int gpu;                                        /* likewise */
    bool run_ahead;                                 /* steps.h */
    double ceiling_flops;                           /* known from an earlier run; 0: it is measured */
    bool phases;                                    /* a GPU is waited for after each, and "share" is known */
    bool without_thinning;                          /* do for every row what only some rows need */
};

enum status bench_run(struct model *model, const struct bench_options *options, struct error *error);

#endif
