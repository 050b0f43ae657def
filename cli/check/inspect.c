#include "cli/check/inspect.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/convert/checkpoint_print.h"
#include "cli/check/inspection.h"
#include "common/program.h"
#include "common/options.h"
#include "common/memory_bounds.h"

static const char program[] = "millrace inspect";

struct inspect_options {
    const char *directory;
    bool json, tensors, is_checkpoint, plan;
    int64_t n_ranks, batch, length;
    const char *backend, *precision, *gpu_memory;
};

static bool is_file(const char *path)
{
    struct stat found;
    return stat(path, &found) == 0 && S_ISREG(found.st_mode);
}

/* As command_options. */
static int parse(struct inspect_options *options, int argc, char **argv, char ***operands, int *n_operands)
{
    const struct option_row rows[] = {
        {"json", 'j', OPTION_FLAG, NULL, NULL, NULL, 0, 0, "one JSON object, for programs", &options->json,
         NULL},
        {"tensors", 't', OPTION_FLAG, NULL, NULL, NULL, 0, 0, "the table of tensors, too", &options->tensors,
         NULL},
        {"tp", 0, OPTION_INTEGER, "N", NULL, "1", 1, MEMORY_RANKS_MAX,
         "what each of N tensor-parallel ranks holds", &options->n_ranks, NULL},
        {"plan", 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0,
         "the memory that each rank of a replica would take, and what fits", &options->plan, NULL},
        {"batch", 'b', OPTION_INTEGER, "N", NULL, "32", 1, MEMORY_BATCH_MAX,
         "with --plan: texts that are refined together", &options->batch, NULL},
        {"length", 'l', OPTION_INTEGER, "N", NULL, "1024", 1, MEMORY_LENGTH_MAX,
         "with --plan: tokens of each", &options->length, NULL},
        {"backend", 0, OPTION_TEXT, "NAME", "MILLRACE_BACKEND", "auto", 0, 0,
         "with --plan: cpu, cuda (also where there is no GPU), or auto, the best that runs here",
         &options->backend, NULL},
        {"precision", 0, OPTION_TEXT, "NAME", "MILLRACE_PRECISION", "auto", 0, 0,
         "with --plan: f32, bf16, int8 (CPU), fp8 (GPU), or auto: f32 on a CPU, bf16 on a GPU",
         &options->precision, NULL},
        {"gpu-memory", 0, OPTION_TEXT, "SIZE", "MILLRACE_GPU_MEMORY", NULL, 0, 0,
         "with --plan: what a rank has, as in 80GiB; says the largest batch", &options->gpu_memory, NULL},
        {NULL},
    };
    const struct option_table table = {
        program,
        "Opens a model directory with every check that a worker makes, and says what is in it.\n"
        "Of a checkpoint (.pth) it says which networks can be converted; nothing in it runs.",
        "DIRECTORY|CHECKPOINT.pth",
        "millrace inspect models/books-small\nmillrace inspect models/books-small --tp 4 --tensors\n"
        "millrace inspect models/books-small --plan --tp 2 --batch 32 --length 1024 --gpu-memory 80GiB",
        rows,
        1,
    };
    return command_options(&table, argc, argv, operands, n_operands);
}

static enum status take_operand(struct inspect_options *options, char **operands, int n_operands,
                                struct error *error)
{
    if (n_operands != 1)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "give the model's directory: millrace inspect DIRECTORY");
    options->directory = operands[0];
    options->is_checkpoint = is_file(operands[0]);
    if (options->is_checkpoint && (options->json || options->tensors))
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "--json and --tensors are for model directories, not for %s", operands[0]);
    return STATUS_OK;
}

static enum status inspect(const struct inspect_options *options, struct error *error)
{
    struct inspection inspection;
    enum status status = inspection_open(options->directory, (int)options->n_ranks, &inspection, error);
    if (status)
        return status;
    if (options->json)
        status = inspection_print_json(&inspection, options->tensors, stdout, error);
    else
        inspection_print(&inspection, options->tensors, stdout);
    inspection_release(&inspection);
    return status;
}

static int fail(const struct error *error)
{
    command_refuse(program, error);
    return EXIT_CODE_FAILED;
}

/* The worker knows what it allocates: it takes this program's place. */
static enum status become_planner(const struct inspect_options *options, struct error *error)
{
    char worker[PATH_MAX], tp[24], batch[24], length[24];
    enum status status = program_beside("millrace-worker", worker, sizeof worker, error);
    if (status)
        return status;
    snprintf(tp, sizeof tp, "%lld", (long long)options->n_ranks);
    snprintf(batch, sizeof batch, "%lld", (long long)options->batch);
    snprintf(length, sizeof length, "%lld", (long long)options->length);
    const char *arguments[24] = {worker,      "--plan",         "--model",     options->directory, "--tp",
                                 tp,          "--batch",        batch,         "--length",         length,
                                 "--backend", options->backend, "--precision", options->precision};
    int n = 14;
    if (options->gpu_memory) {
        arguments[n++] = "--gpu-memory";
        arguments[n++] = options->gpu_memory;
    }
    if (options->json)
        arguments[n++] = "--json";
    execv(worker, (char *const *)(uintptr_t)arguments);
    return error_set(error, STATUS_INTERNAL, "%s: %s", worker, strerror(errno));
}

int inspect_main(int argc, char **argv)
{
    struct inspect_options options = {0};
    struct error error;
    char **operands;
    int n_operands;
    int code = parse(&options, argc, argv, &operands, &n_operands);
    if (code >= 0)
        return code;
    if (take_operand(&options, operands, n_operands, &error) != STATUS_OK)
        return command_refuse(program, &error);
    if (options.plan && !options.is_checkpoint)
        return become_planner(&options, &error) != STATUS_OK ? fail(&error) : EXIT_CODE_OK;
    const enum status status = options.is_checkpoint ? checkpoint_print(options.directory, stdout, &error)
                                                     : inspect(&options, &error);
    return status != STATUS_OK ? fail(&error) : EXIT_CODE_OK;
}
