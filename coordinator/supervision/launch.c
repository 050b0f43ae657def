#include "coordinator/supervision/launch.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/launcher.h"
#include "common/process.h"
#include "common/rpc/token.h"

/* Each replica has an mpirun of its own, whose ranks know nothing of other replicas: without a first GPU all
 * would take GPU 0. Those that share one get equal parts of what a single one would take. */
static void add_gpus(const struct launch_options *options, int number, char share[16],
                     struct arguments *command)
{
    enum { USUAL_PERCENT = 92 };
    arguments_add_number(command, "--gpu-first", number / options->replicas_per_gpu * options->n_ranks);
    if (options->replicas_per_gpu == 1 || getenv("MILLRACE_GPU_MEMORY"))
        return;
    snprintf(share, 16, "%.4f", USUAL_PERCENT / 100.0 / options->replicas_per_gpu);
    arguments_add(command, "--gpu-memory", share);
}

static void build_command(const struct launch_options *options, const char *name, const char *shm_directory,
                          struct arguments *command)
{
    const struct launcher_job job = {.mpirun = options->mpirun,
                                     .n_ranks = options->n_ranks,
                                     .bind_to_core = options->bind_to_core,
                                     .oversubscribe = options->oversubscribe};
    launcher_begin(command, &job);
    arguments_add(command, "--mca", NULL);
    arguments_add_number(command, "odls_base_sigkill_timeout", options->grace_seconds);
    if (*shm_directory)
        launcher_add_parameter(command, "btl_vader_backing_directory", shm_directory);
    arguments_add(command, options->worker, NULL);
    arguments_add(command, "--model", options->model);
    arguments_add(command, "--coordinator", options->address);
    arguments_add(command, "--replica", name);
    arguments_add(command, "--backend", options->backend);
    arguments_add(command, "--precision", options->precision);
    arguments_add(command, "--log-format", options->log_format);
    arguments_add_number(command, "--threads", options->n_threads);
    arguments_add_number(command, "--batch-tokens", options->batch_tokens);
    arguments_add_number(command, "--max-sequences", options->max_sequences);
}

/* Settings that tell a client how to call are left out: the replica attaches at the private address (gate.h).
 */
static char **create_environment(const char *token, const char *launch)
{
    static const char *const without[] = {"MILLRACE_TLS_", "MILLRACE_TOKEN",
                                          "MILLRACE_READY_FILE=", "MILLRACE_LAUNCH=", NULL};
    char entry[TOKEN_SIZE + sizeof "MILLRACE_TOKEN="], launch_entry[TOKEN_SIZE + sizeof "MILLRACE_LAUNCH="];
    const char *const with[] = {launch_entry, token ? entry : NULL, NULL};
    snprintf(entry, sizeof entry, "MILLRACE_TOKEN=%s", token ? token : "");
    snprintf(launch_entry, sizeof launch_entry, "MILLRACE_LAUNCH=%s", launch);
    char **environment = launcher_environment_create(without, with);
    explicit_bzero(entry, sizeof entry);
    explicit_bzero(launch_entry, sizeof launch_entry);
    return environment;
}

/* Standard output is the coordinator's own: what a replica prints goes to our errors. */
enum status launch_replica(const struct launch_options *options, const char *name, int number,
                           const char *launch, const char *shm_directory, pid_t *pid, struct error *error)
{
    struct arguments command;
    struct process process;
    char share[16];
    build_command(options, name, shm_directory, &command);
    add_gpus(options, number, share, &command);
    char **environment = create_environment(options->token, launch);
    if (!environment)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory to start %s", options->mpirun);
    const struct process_options process_options = {.arguments = (char *const *)(uintptr_t)command.words,
                                                    .environment = environment,
                                                    .output = STDERR_FILENO,
                                                    .errors = -1,
                                                    .kept = -1,
                                                    .descriptors = options->descriptors};
    enum status status = process_start(&process_options, &process, error);
    launcher_environment_free(environment);
    if (status != STATUS_OK)
        return status;
    if (process.handle >= 0)
        close(process.handle); /* all children are reaped together (spawn.c) */
    *pid = process.pid;
    return STATUS_OK;
}
