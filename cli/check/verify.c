#include "cli/check/verify.h"

#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/terminal/interrupt.h"
#include "cli/terminal/json_output.h"
#include "cli/cluster/mpirun.h"
#include "common/program.h"
#include "cli/check/verify_checkpoints.h"
#include "cli/check/verify_family.h"
#include "cli/check/verify_table.h"
#include "cli/check/verify_texts.h"

struct verify_settings {
    const char *directory, *ranks, *backend, *precision;
    int64_t threads;
    bool json;
};

/* Reads the findings, an object a line, up to the summary; what is left for this program is not one. */
static bool read_findings(FILE *output, json_t *findings)
{
    json_t *line;
    bool complete = false;
    while ((line = json_loadf(output, JSON_DISABLE_EOF_CHECK, NULL))) {
        complete = json_object_get(line, "ranks") != NULL;
        if (!complete && !json_is_true(json_object_get(line, "left")))
            json_array_append(findings, line);
        json_decref(line);
    }
    return complete;
}

/* converted: of a published family, else "". */
static enum status run_worker(const struct verify_settings *settings, const char *worker, int n_ranks,
                              const char *converted, json_t *findings, struct error *error)
{
    struct arguments arguments;
    FILE *output;
    int code, n_threads = mpirun_threads(settings->threads, n_ranks);
    mpirun_begin(&arguments, n_ranks, n_threads, worker);
    arguments_add(&arguments, "--verify", settings->directory);
    if (converted[0])
        arguments_add(&arguments, "--converted", converted);
    arguments_add(&arguments, "--backend", settings->backend);
    arguments_add(&arguments, "--precision", settings->precision);
    arguments_add_number(&arguments, "--threads", n_threads);
    enum status status = mpirun_run(&arguments, &output, &code, error);
    if (status != STATUS_OK)
        return status;
    if (!read_findings(output, findings)) /* a check that failed has its exit code, too, and a summary */
        status =
            error_set(error, STATUS_INTERNAL,
                      "the run with %d ranks ended with exit code %d; what it said is above", n_ranks, code);
    fclose(output);
    return status;
}

/* Adds one run, {"ranks": N, "findings": [...]}, to the list, and prints it. */
static void take_run(const struct verify_settings *settings, json_t *runs, int n_ranks, json_t *findings)
{
    if (!settings->json) {
        printf(n_ranks ? "%d rank%s\n" : "files, without ranks\n", n_ranks, n_ranks == 1 ? "" : "s");
        verify_table_print(findings, stdout);
        putchar('\n');
        fflush(stdout);
    }
    json_array_append_new(runs, json_pack("{s:i, s:o}", "ranks", n_ranks, "findings", findings));
}

static enum status run_workers(const struct verify_settings *settings, const int *ranks, int n_runs,
                               const char *converted, json_t *runs, struct error *error)
{
    char worker[PATH_MAX];
    enum status status = program_beside("millrace-worker", worker, sizeof worker, error);
    interrupt_block();
    for (int i = 0; i < n_runs && status == STATUS_OK; i++) {
        json_t *findings = json_array();
        status = run_worker(settings, worker, ranks[i], converted, findings, error);
        if (status == STATUS_OK)
            take_run(settings, runs, ranks[i], findings);
        else
            json_decref(findings);
    }
    return status;
}

static enum status run_all(const struct verify_settings *settings, const int *ranks, int n_runs, json_t *runs,
                           struct error *error)
{
    char converted[TEMPORARY_ROOM] = "";
    json_t *findings = json_array();
    enum status status = verify_family_convert(settings->directory, converted, findings, error);
    if (status == STATUS_OK)
        status = run_workers(settings, ranks, n_runs, converted, runs, error);
    if (status == STATUS_OK)
        verify_texts(settings->directory, findings);
    if (status == STATUS_OK && !converted[0])
        verify_checkpoints(settings->directory, findings);
    verify_family_remove(converted);
    if (status == STATUS_OK && json_array_size(findings))
        take_run(settings, runs, 0, findings);
    else
        json_decref(findings);
    return status;
}

/* All runs together; files are counted once. */
static struct verify_totals add_up(const json_t *runs)
{
    struct verify_totals totals = {0};
    size_t i;
    json_t *run;
    json_array_foreach(runs, i, run)
    {
        struct verify_totals part = verify_totals_of(json_object_get(run, "findings"));
        bool same_files = i > 0 && json_integer_value(json_object_get(run, "ranks")) > 0;
        totals.n_files += same_files ? 0 : part.n_files;
        totals.n_checks += part.n_checks;
        totals.n_failed += part.n_failed;
    }
    return totals;
}

static int verify(const struct verify_settings *settings, const int *ranks, int n_runs)
{
    struct error error;
    json_t *runs = json_array();
    enum status status = run_all(settings, ranks, n_runs, runs, &error);
    struct verify_totals totals = add_up(runs);
    if (status == STATUS_OK && settings->json)
        status = json_print(json_pack("{s:s, s:i, s:i, s:i, s:O}", "directory", settings->directory, "files",
                                      totals.n_files, "checks", totals.n_checks, "failed", totals.n_failed,
                                      "runs", runs),
                            2, stdout, &error);
    else if (status == STATUS_OK)
        verify_totals_print(totals, stdout);
    json_decref(runs);
    if (status != STATUS_OK)
        return command_fail("millrace verify", &error);
    return totals.n_failed ? EXIT_CODE_FAILED : EXIT_CODE_OK;
}

int verify_main(int argc, char **argv)
{
    struct verify_settings s = {0};
    int ranks[MPIRUN_RUNS_MAX], n_runs;
    const struct option_row rows[] = {
        {"ranks", 0, OPTION_TEXT, "N,N...", NULL, "1,2", 0, 0, "Numbers of ranks to run with, one run each.",
         &s.ranks, NULL},
        {"threads", 0, OPTION_INTEGER, "N", NULL, NULL, 1, 1024,
         "Threads of each rank. Without it: the cores, shared.", &s.threads, NULL},
        {"backend", 0, OPTION_TEXT, "NAME", "MILLRACE_BACKEND", "auto", 0, 0,
         "cpu, cuda, or auto: the best that runs here.", &s.backend, NULL},
        {"precision", 0, OPTION_TEXT, "NAME", "MILLRACE_PRECISION", "f32", 0, 0,
         "f32, the tolerances are for it; bf16 or fp8 show how far those are from it.", &s.precision, NULL},
        {"json", 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0, "Print one JSON object with every finding.", &s.json,
         NULL},
        {NULL},
    };
    const struct option_table table = {
        .program = "millrace verify",
        .summary =
            "Holds this build against recorded results of the reference implementation, or of the authors "
            "of a published model (golden vectors): forward "
            "passes and their intermediates, time grids, single steps, whole texts token by token, "
            "the laws of our "
            "own draws, and the conversion of checkpoints. Exits with 1 if one check fails, or if "
            "there is a file that "
            "no check knows.",
        .operands = "DIR",
        .examples =
            "millrace verify golden/public\nmillrace verify golden/public --ranks 1,2,4 --json > report.json",
        .rows = rows,
        .max_operands = 1,
    };
    char **operands;
    int n_operands;
    struct error error;
    int code = command_options(&table, argc, argv, &operands, &n_operands);
    if (code >= 0)
        return code;
    enum status status = mpirun_parse_ranks(s.ranks, ranks, &n_runs, &error);
    if (status == STATUS_OK && n_operands != 1)
        status = error_set(&error, STATUS_INVALID_ARGUMENT,
                           "give the directory of golden vectors, the one with manifest.json");
    if (status != STATUS_OK)
        return command_refuse(table.program, &error);
    s.directory = operands[0];
    return verify(&s, ranks, n_runs);
}
