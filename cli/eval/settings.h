#ifndef MILLRACE_CLI_EVAL_SETTINGS_H
#define MILLRACE_CLI_EVAL_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/cluster/connection.h"
#include "cli/eval/task.h"
#include "common/solver.h"
#include "common/status.h"

enum { STEP_COUNTS_MAX = 32 };

/* The command's options, checked. */
struct eval_settings {
    const char *steps_text, *prefix, *infill, *judge, *score, *against, *elbo, *json, *plot, *samples,
        *solver_name;
    int64_t n_texts, length, seed, in_flight, prefix_tokens, elbo_windows, ranks, timeout_s, judge_timeout_s;
    double temperature, infill_share;
    bool steps_given;
    struct connection_choice cluster;
    uint32_t steps[STEP_COUNTS_MAX];
    enum solver solver; /* valid where solver_name is set; else the model's own solver is used */
    size_t n_steps;     /* 0: nothing is written by a cluster */
};

/* Returns -1 to go on, else the exit code of the command. */
int eval_settings_parse(struct eval_settings *settings, int argc, char **argv);

/* "1,2,4": different numbers of steps, each 1 to 65536. */
enum status eval_parse_steps(const char *text, uint32_t steps[STEP_COUNTS_MAX], size_t *n,
                             struct error *error);

#endif
