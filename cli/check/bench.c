/* `millrace bench`: one text on this machine with different numbers of ranks, without a coordinator. */
#include <stdlib.h>

#include "cli/check/bench_table.h"
#include "cli/command.h"
#include "cli/terminal/interrupt.h"
#include "cli/terminal/json_output.h"
#include "cli/cluster/mpirun.h"
#include "cli/places.h"
#include "common/program.h"

struct bench_settings {
    const char *model_directory, *ranks, *backend, *precision;
    int64_t length, steps, threads, repeats;
    bool json;
};

static enum status read_result(FILE *output, json_t **result, struct error *error)
{
    json_error_t reason;
    *result = json_loadf(output, JSON_DISABLE_EOF_CHECK, &reason);
    if (!json_is_object(*result)) {
        json_decref(*result);
        return error_set(error, STATUS_DATA_LOSS, "the run printed no JSON object: %s", reason.text);
    }
    return STATUS_OK;
}

static enum status run_once(const struct bench_settings *settings, const char *worker, const char *model,
                            int n_ranks, json_t **result, struct error *error)
{
    struct arguments arguments;
    FILE *output;
    int n_threads = mpirun_threads(settings->threads, n_ranks), code;
    mpirun_begin(&arguments, n_ranks, n_threads, worker);
    arguments_add(&arguments, "--bench", NULL);
    arguments_add(&arguments, "--model", model);
    arguments_add(&arguments, "--backend", settings->backend);
    arguments_add(&arguments, "--precision", settings->precision);
    arguments_add_number(&arguments, "--length", settings->length);
    arguments_add_number(&arguments, "--steps", settings->steps);
    arguments_add_number(&arguments, "--threads", n_threads);
    arguments_add_number(&arguments, "--repeats", settings->repeats);
    enum status status = mpirun_run(&arguments, &output, &code, error);
    if (status != STATUS_OK)
        return status;
    status = code == 0 ? read_result(output, result, error)
                       : error_set(error, STATUS_INTERNAL,
                                   "the run ended with exit code %d; what it said is above", code);
    fclose(output);
    return status;
}

static enum status bench(const struct bench_settings *settings, const int *ranks, int n_runs,
                         struct error *error)
{
    char worker[PATH_MAX], model[PATH_MAX];
    enum status status = place_of_model(settings->model_directory, model, error);
    if (status == STATUS_OK)
        status = program_beside("millrace-worker", worker, sizeof worker, error);
    json_t *rows = json_array();
    interrupt_block();
    for (int i = 0; status == STATUS_OK && i < n_runs; i++) {
        json_t *result = NULL;
        fprintf(stderr, "%d rank%s of %d thread%s ...\n", ranks[i], ranks[i] == 1 ? "" : "s",
                mpirun_threads(settings->threads, ranks[i]),
                mpirun_threads(settings->threads, ranks[i]) == 1 ? "" : "s");
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
    int ranks[MPIRUN_RUNS_MAX], n_runs;
    const struct option_row rows[] = {
        {"model-dir", 0, OPTION_TEXT, "DIR", NULL, NULL, 0, 0,
         "The model. Without it: that of MILLRACE_MODEL, or the demonstration model.", &s.model_directory,
         NULL},
        {"ranks", 0, OPTION_TEXT, "N,N...", NULL, "1,2", 0, 0, "Numbers of ranks to run with, one run each.",
         &s.ranks, NULL},
        {"backend", 0, OPTION_TEXT, "NAME", "MILLRACE_BACKEND", "auto", 0, 0,
         "cpu, cuda, or auto: the best that runs here.", &s.backend, NULL},
        {"precision", 0, OPTION_TEXT, "NAME", "MILLRACE_PRECISION", "auto", 0, 0,
         "f32, bf16, int8 (CPU), fp8 (GPU), or auto: f32 on a CPU, bf16 on a GPU.", &s.precision, NULL},
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
    if (mpirun_parse_ranks(s.ranks, ranks, &n_runs, &error) != STATUS_OK)
        return command_refuse(table.program, &error);
    return bench(&s, ranks, n_runs, &error) == STATUS_OK ? EXIT_CODE_OK : command_fail(table.program, &error);
}
