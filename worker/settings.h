#ifndef MILLRACE_WORKER_SETTINGS_H
#define MILLRACE_WORKER_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/rpc/security_options.h"
#include "worker/model/model.h"

/* What the options and the environment say. */
struct settings {
    const char *model, *coordinator, *replica, *backend, *precision, *collective, *gpu_memory, *run_ahead,
        *ready_file, *elbo, *verify, *only, *log_format;
    int64_t gpu, threads, batch_tokens, max_sequences;
    bool bench, no_thinning, plan, json;
    int64_t tp, batch, length, steps, repeats, samples, seed;
    struct rpc_security security;
    enum precision numbers; /* what `precision` says */
    size_t memory_bytes;    /* and `gpu_memory`; 0: nothing */
};

/* -1: go on, with *settings, which live as long as the program. Else the exit code: help was asked for and
 * printed, or the usage was bad and was said so. */
int settings_parse(int argc, char **argv, const struct settings **settings);

/* Does this process attach to a coordinator, or does it measure and check by itself? */
bool settings_serve(const struct settings *settings);

/* How a model is opened. `meters` may be NULL. */
struct model_options settings_model(const struct settings *settings, struct collective *collective,
                                    struct meters *meters);
/* Is the host to hand the device a step before the outcome of the last is read? */
bool settings_run_ahead(const struct settings *settings, const struct model *model);

#endif
