#include "cli/cluster/mpirun.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/terminal/interrupt.h"
#include "cli/cluster/process.h"
#include "common/machine/cpus.h"

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

void arguments_add(struct arguments *arguments, const char *name, const char *value)
{
    arguments->words[arguments->n++] = name;
    if (value)
        arguments->words[arguments->n++] = value;
}

void arguments_add_number(struct arguments *arguments, const char *name, int64_t value)
{
    char *number = arguments->numbers[arguments->n_numbers++];
    snprintf(number, sizeof arguments->numbers[0], "%lld", (long long)value);
    arguments_add(arguments, name, number);
}

void mpirun_begin(struct arguments *arguments, int n_ranks, int n_threads, const char *program)
{
    int cores = cpus_for_computing(cpus_here());
    *arguments = (struct arguments){0};
    arguments_add(arguments, "mpirun", "--quiet");
    arguments_add_number(arguments, "-n", n_ranks);
    arguments_add(arguments, "--bind-to", n_threads == 1 && n_ranks <= cores ? "core" : "none");
    arguments_add(arguments, "--mca", "btl");
    arguments_add(arguments, "self,vader", NULL);
    if (n_ranks > cores) {
        arguments_add(arguments, "--oversubscribe", NULL);
        arguments_add(arguments, "--mca", "mpi_yield_when_idle");
        arguments_add(arguments, "1", NULL);
    }
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

/* The output goes through a file: a pipe would have to be read meanwhile. */
enum status mpirun_run(const struct arguments *arguments, FILE **output, int *code, struct error *error)
{
    struct process process;
    FILE *file = tmpfile();
    if (!file)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no temporary file: %s", strerror(errno));
    setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 0); /* containers run as root; mpirun wants both */
    setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 0);
    struct process_files files = {.output = fileno(file), .errors = -1, .kept = -1};
    enum status status = process_start((char *const *)(uintptr_t)arguments->words, files, &process, error);
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
