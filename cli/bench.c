/* `millrace bench`: one text on this machine with different numbers of ranks, without a coordinator. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "cli/bench_table.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/json_output.h"
#include "cli/places.h"
#include "cli/process.h"

enum { RUNS_MAX = 16, RANKS_MAX = 256, LOOK_EVERY_MS = 100, STOP_GRACE_MS = 3000, ARGUMENTS_MAX = 32 };

struct bench_settings {
    const char *model_directory, *ranks;
    int64_t length, steps, threads, repeats;
    bool json;
};

/* "1,2,4" */
static enum status parse_ranks(const char *text, int ranks[RUNS_MAX], int *n, struct error *error)
{
    *n = 0;
    for (const char *at = text; *n < RUNS_MAX;) {
        char *end;
        long value = strtol(at, &end, 10);
        if (end == at || value < 1 || value > RANKS_MAX || (*end && *end != ','))
            break;
        ranks[(*n)++] = (int)value;
        if (!*end)
            return STATUS_OK;
        at = end + 1;
    }
    return error_set(error, STATUS_INVALID_ARGUMENT,
                     "--ranks %s: must be up to %d numbers from 1 to %d, as in 1,2,4", text, RUNS_MAX,
                     RANKS_MAX);
}

/* Cores that this process may use: a container often has fewer than the machine. */
static int usable_cores(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

static int threads_for(const struct bench_settings *settings, int n_ranks)
{
    int cores = usable_cores();
    if (settings->threads > 0)
        return (int)settings->threads;
    return cores > n_ranks ? cores / n_ranks : 1;
}

/* A command line that grows; the numbers in it live here. */
struct arguments {
    const char *words[ARGUMENTS_MAX + 1];
    char numbers[8][24];
    int n, n_numbers;
};

static void add(struct arguments *arguments, const char *name, const char *value)
{
    arguments->words[arguments->n++] = name;
    if (value)
        arguments->words[arguments->n++] = value;
}

static void add_number(struct arguments *arguments, const char *name, int64_t value)
{
    char *number = arguments->numbers[arguments->n_numbers++];
    snprintf(number, sizeof arguments->numbers[0], "%lld", (long long)value);
    add(arguments, name, number);
}

/* As the coordinator starts a replica: each rank on a core of its own where there are enough, and polite to
 * the others where there are not. */
static void add_launcher(struct arguments *arguments, int n_ranks, int n_threads)
{
    int cores = usable_cores();
    add(arguments, "mpirun", NULL);
    add_number(arguments, "-n", n_ranks);
    add(arguments, "--bind-to", n_threads == 1 && n_ranks <= cores ? "core" : "none");
    add(arguments, "--mca", "btl");
    add(arguments, "self,vader", NULL);
    if (n_ranks > cores) {
        add(arguments, "--oversubscribe", NULL);
        add(arguments, "--mca", "mpi_yield_when_idle");
        add(arguments, "1", NULL);
    }
}

static enum status launch(const struct bench_settings *settings, const char *worker, const char *model,
                          int n_ranks, int output, struct process *process, struct error *error)
{
    struct arguments arguments = {0};
    int n_threads = threads_for(settings, n_ranks);
    add_launcher(&arguments, n_ranks, n_threads);
    add(&arguments, worker, "--bench");
    add(&arguments, "--model", model);
    add_number(&arguments, "--length", settings->length);
    add_number(&arguments, "--steps", settings->steps);
    add_number(&arguments, "--threads", n_threads);
    add_number(&arguments, "--repeats", settings->repeats);
    setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 0); /* containers run as root; mpirun wants both */
    setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 0);
    struct process_files files = {.output = output, .errors = -1, .kept = -1};
    return process_start((char *const *)(uintptr_t)arguments.words, files, process, error);
}

static enum status wait_for_end(struct process *process, struct error *error)
{
    int code;
    while (!process_wait(process, LOOK_EVERY_MS, &code)) {
        if (interrupt_taken()) {
            process_stop(process, STOP_GRACE_MS);
            return error_set(error, STATUS_CANCELLED, "interrupted");
        }
    }
    if (code != 0)
        return error_set(error, STATUS_INTERNAL, "the run ended with exit code %d; what it said is above",
                         code);
    return STATUS_OK;
}

static enum status read_result(FILE *output, json_t **result, struct error *error)
{
    json_error_t reason;
    rewind(output);
    *result = json_loadf(output, JSON_DISABLE_EOF_CHECK, &reason);
    if (!json_is_object(*result)) {
        json_decref(*result);
        return error_set(error, STATUS_DATA_LOSS, "the run printed no JSON object: %s", reason.text);
    }
    return STATUS_OK;
}

/* The output goes through a file: a result is one line, and a pipe would have to be read meanwhile. */
static enum status run_once(const struct bench_settings *settings, const char *worker, const char *model,
                            int n_ranks, json_t **result, struct error *error)
{
    struct process process;
    FILE *output = tmpfile();
    if (!output)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no temporary file: %s", strerror(errno));
    enum status status = launch(settings, worker, model, n_ranks, fileno(output), &process, error);
    if (status == STATUS_OK)
        status = wait_for_end(&process, error);
    if (status == STATUS_OK)
        status = read_result(output, result, error);
    fclose(output);
    return status;
}

static enum status bench(const struct bench_settings *settings, const int *ranks, int n_runs,
                         struct error *error)
{
    char worker[PATH_MAX], model[PATH_MAX];
    enum status status = place_of_model(settings->model_directory, model, error);
    if (status == STATUS_OK)
        status = place_of_program("millrace-worker", worker, error);
    json_t *rows = json_array();
    interrupt_block();
    for (int i = 0; status == STATUS_OK && i < n_runs; i++) {
        json_t *result = NULL;
        fprintf(stderr, "%d rank%s of %d thread%s ...\n", ranks[i], ranks[i] == 1 ? "" : "s",
                threads_for(settings, ranks[i]), threads_for(settings, ranks[i]) == 1 ? "" : "s");
        status = run_once(settings, worker, model, ranks[i], &result, error);
        if (status == STATUS_OK)
            json_array_append_new(rows, result);
    }
    if (status == STATUS_OK && settings->json)
        return json_print(rows, 2, stdout, error);
    if (status == STATUS_OK)
        bench_table_print(rows, stdout);
    json_decref(rows);
    return status;
}

int bench_main(int argc, char **argv)
{
    struct bench_settings s;
    int ranks[RUNS_MAX], n_runs;
    const struct option_row rows[] = {
        {"model-dir", 0, OPTION_TEXT, "DIR", "MILLRACE_MODEL", NULL, 0, 0,
         "The model. Without it: the demonstration model.", &s.model_directory, NULL},
        {"ranks", 0, OPTION_TEXT, "N,N...", NULL, "1,2", 0, 0, "Numbers of ranks to run with, one run each.",
         &s.ranks, NULL},
        {"threads", 0, OPTION_INTEGER, "N", NULL, NULL, 1, 1024,
         "Threads of each rank. Without it: the cores, shared.", &s.threads, NULL},
        {"length", 'l', OPTION_INTEGER, "N", NULL, "1024", 1, 1 << 20, "Tokens of the text.", &s.length,
         NULL},
        {"steps", 's', OPTION_INTEGER, "N", NULL, "8", 1, 65536, "Refinement steps.", &s.steps, NULL},
        {"repeats", 0, OPTION_INTEGER, "N", NULL, "3", 1, 1000, "Texts of each run; the fastest counts.",
         &s.repeats, NULL},
        {"json", 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0, "Print a JSON list with an object for each run.",
         &s.json, NULL},
        {NULL},
    };
    const struct option_table table = {
        .program = "millrace bench",
        .summary =
            "Measures how fast this machine writes one text, with different numbers of ranks: the time and "
            "where it "
            "goes, and how near the arithmetic comes to the machine's own matrix product in the same run.",
        .operands = "",
        .examples = "millrace bench\nmillrace bench --ranks 1,2,4 --length 512 --json > rows.json",
        .rows = rows,
    };
    char **operands;
    int n_operands;
    struct error error;
    int code = command_options(&table, argc, argv, &operands, &n_operands);
    if (code >= 0)
        return code;
    if (parse_ranks(s.ranks, ranks, &n_runs, &error) != STATUS_OK)
        return command_refuse(table.program, &error);
    return bench(&s, ranks, n_runs, &error) == STATUS_OK ? EXIT_CODE_OK : command_fail(table.program, &error);
}
