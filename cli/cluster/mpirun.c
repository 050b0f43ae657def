#include "cli/cluster/mpirun.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/terminal/interrupt.h"
#include "common/machine/cpus.h"
#include "common/process.h"

enum { LOOK_EVERY_MS = 100, STOP_GRACE_MS = 3000 };

enum status mpirun_parse_ranks(const char *text, int ranks[MPIRUN_RUNS_MAX], int *n, struct error *error)
{
    *n = 0;
    for (const char *at = text; *n < MPIRUN_RUNS_MAX;) {
        char *end;
        long value = strtol(at, &end, 10);
        if (end == at || value < 1 || value > MPIRUN_RANKS_MAX || (*end && *end != ','))
            break;
        ranks[(*n)++] = (int)value;
        if (!*end)
            return STATUS_OK;
        at = end + 1;
    }
    return error_set(error, STATUS_INVALID_ARGUMENT,
                     "--ranks %s: must be up to %d numbers from 1 to %d, as in 1,2,4", text, MPIRUN_RUNS_MAX,
                     MPIRUN_RANKS_MAX);
}

int mpirun_threads(int64_t asked, int n_ranks)
{
    int cores = cpus_for_computing(cpus_here());
    if (asked > 0)
        return (int)asked;
    return cores > n_ranks ? cores / n_ranks : 1;
}

void mpirun_begin(struct arguments *arguments, int n_ranks, int n_threads, const char *program)
{
    int cores = cpus_for_computing(cpus_here());
    const struct launcher_job job = {.mpirun = "mpirun",
                                     .n_ranks = n_ranks,
                                     .bind_to_core = n_threads == 1 && n_ranks == cores,
                                     .oversubscribe = n_ranks * n_threads > cores};
    launcher_begin(arguments, &job);
    const char *shared_memory = launcher_shared_memory(n_ranks);
    if (shared_memory)
        launcher_add_parameter(arguments, "btl_vader_backing_directory", shared_memory);
    arguments_add(arguments, "--quiet", NULL);
    arguments_add(arguments, program, NULL);
}

static enum status wait_for_end(struct process *process, int *code, struct error *error)
{
    while (!process_wait(process, LOOK_EVERY_MS, code)) {
        if (interrupt_taken()) {
            process_stop(process, STOP_GRACE_MS);
            return error_set(error, STATUS_CANCELLED, "interrupted");
        }
    }
    return STATUS_OK;
}

static enum status start(const struct arguments *arguments, int output, struct process *process,
                         struct error *error)
{
    char **environment = launcher_environment_create(NULL, NULL);
    if (!environment)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory to start mpirun");
    const struct process_options options = {.arguments = (char *const *)(uintptr_t)arguments->words,
                                            .environment = environment,
                                            .output = output,
                                            .errors = -1,
                                            .kept = -1};
    enum status status = process_start(&options, process, error);
    launcher_environment_free(environment);
    return status;
}

/* The output goes through a file: a pipe would have to be read meanwhile. */
enum status mpirun_run(const struct arguments *arguments, FILE **output, int *code, struct error *error)
{
    struct process process;
    FILE *file = tmpfile();
    if (!file)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no temporary file: %s", strerror(errno));
    enum status status = start(arguments, fileno(file), &process, error);
    if (status == STATUS_OK)
        status = wait_for_end(&process, code, error);
    if (status != STATUS_OK) {
        fclose(file);
        return status;
    }
    rewind(file);
    *output = file;
    return STATUS_OK;
}
