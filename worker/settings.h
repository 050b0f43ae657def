#ifndef MILLRACE_WORKER_SETTINGS_H
#define MILLRACE_WORKER_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/rpc/security_options.h"
#include "worker/model/model.h"

/* What the options and the environment say. */
struct settings {
    const char *model, *coordinator, *replica, *backend, *precision, *collective, *gpu_memory, *run_ahead,
        *ready_file, *elbo, *verify, *converted, *only, *log_format;
    int64_t gpu, gpu_first, threads, batch_tokens, max_sequences, warm_up;
    double ceiling;
    bool bench, phases, no_thinning, plan, json, devices;
    int64_t tp, batch, length, steps, repeats, samples, seed;
    struct rpc_security security;
    enum precision numbers;     /* `precision`, parsed */
    struct memory_share memory; /* `gpu_memory`, parsed; zero: it was not given */
};

/* -1: go on with *settings, which live as long as the program. Otherwise the exit code: 0 after printing the
 * help, 2 after saying what is wrong with the usage. */
int settings_parse(int argc, char **argv, const struct settings **settings);

/* Does this process serve a coordinator? Otherwise it measures or checks. */
bool settings_serve(const struct settings *settings);

/* Which GPU this rank takes: a number, or -1 for struct model_options to choose. */
int settings_gpu(const struct settings *settings, const struct collective *collective);
/* The options with which a model is opened. `meters` may be NULL. */
struct model_options settings_model(const struct settings *settings, struct collective *collective,
                                    struct meters *meters);
/* Does the host hand a step to the device before it has read the outcome of the last (steps.h)? */
bool settings_run_ahead(const struct settings *settings, const struct model *model);

#endif
