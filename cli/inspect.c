#include "cli/inspect.h"

#include <stdio.h>

#include "cli/convert/inspection.h"
#include "common/options.h"

enum { RANKS_MAX = 64 };

struct inspect_options {
    const char *directory;
    bool json, tensors;
    int64_t n_ranks;
};

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
        "Opens a model directory with every check that a worker makes, and says what is in it.",
        "DIRECTORY",
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

int inspect_main(int argc, char **argv)
{
    struct inspect_options options = {0};
    struct error error;
    bool help = false;
    enum status status = parse(argc, argv, &options, &help, &error);
    if (!status && !help)
        status = inspect(&options, &error);
    if (!status)
        return 0;
    fprintf(stderr, "millrace inspect: %s\n", error.text);
    return status == STATUS_INVALID_ARGUMENT ? 2 : 1;
}
