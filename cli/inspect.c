#include "cli/inspect.h"

#include <stdio.h>
#include <sys/stat.h>

#include "cli/command.h"
#include "cli/convert/checkpoint_print.h"
#include "cli/convert/inspection.h"
#include "common/options.h"

enum { RANKS_MAX = 64 };

struct inspect_options {
    const char *directory;
    bool json, tensors, is_checkpoint;
    int64_t n_ranks;
};

static bool is_file(const char *path)
{
    struct stat found;
    return stat(path, &found) == 0 && S_ISREG(found.st_mode);
}

static enum status parse(int argc, char **argv, struct inspect_options *options, bool *help,
                         struct error *error)
{
    char **operands;
    int n_operands;
    const struct option_row rows[] = {
        {"json", 'j', OPTION_FLAG, NULL, NULL, NULL, 0, 0, "one JSON object, for programs", &options->json,
         NULL},
        {"tensors", 't', OPTION_FLAG, NULL, NULL, NULL, 0, 0, "the table of tensors, too", &options->tensors,
         NULL},
        {"tp", 0, OPTION_INTEGER, "N", NULL, "1", 1, RANKS_MAX, "what each of N tensor-parallel ranks holds",
         &options->n_ranks, NULL},
        {NULL},
    };
    const struct option_table table = {
        "millrace inspect",
        "Opens a model directory with every check that a worker makes, and says what is in it.\n"
        "Of a checkpoint (.pth) it says which networks can be converted; nothing in it runs.",
        "DIRECTORY|CHECKPOINT.pth",
        "millrace inspect models/books-mini\nmillrace inspect models/books-mini --tp 4 --tensors",
        rows,
        1,
    };
    enum status status = options_parse(&table, argc, argv, help, &operands, &n_operands, error);
    if (!status && *help)
        options_print_help(&table, stdout);
    if (status || *help)
        return status;
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

static int fail(const struct error *error, enum exit_code code)
{
    fprintf(stderr, "millrace inspect: %s\n", error->text);
    return code;
}

int inspect_main(int argc, char **argv)
{
    struct inspect_options options = {0};
    struct error error;
    bool help = false;
    if (parse(argc, argv, &options, &help, &error))
        return fail(&error, EXIT_CODE_USAGE);
    if (help)
        return EXIT_CODE_OK;
    const enum status status = is_file(options.directory)
                                   ? checkpoint_print(options.directory, stdout, &error)
                                   : inspect(&options, &error);
    return status ? fail(&error, EXIT_CODE_FAILED) : EXIT_CODE_OK;
}
