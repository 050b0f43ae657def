/* `millrace serve`: becomes the coordinator, with the model found and a replica that it starts itself. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/cluster/connection.h"
#include "cli/places.h"
#include "common/program.h"

/* Is this option, or one of these names, among the arguments? */
static bool has_option(int argc, char **argv, const char *name, const char *letter)
{
    size_t size = strlen(name);
    for (int i = 1; i < argc; i++) {
        bool is_long = !strncmp(argv[i], name, size) && (argv[i][size] == '\0' || argv[i][size] == '=');
        if (is_long || (letter && !strncmp(argv[i], letter, 2)))
            return true;
    }
    return false;
}

static void print_help(void)
{
    static const struct option_row none = {0};
    static const struct option_table table = {
        .program = "millrace serve",
        .summary = "Starts a cluster of this machine and keeps it running: a coordinator at " DEFAULT_ENDPOINT
                   " and one replica. It runs the program millrace-coordinator, to which all options go; "
                   "`millrace-coordinator --help` explains them. Without --model (or MILLRACE_MODEL): the "
                   "demonstration model.",
        .operands = "[options of millrace-coordinator]",
        .examples = "millrace serve\n"
                    "millrace serve --model models/mine --ranks 4 --listen 0.0.0.0:7077\n"
                    "millrace serve --http 127.0.0.1:8080\n"
                    "millrace serve --spawn 0 --listen 0.0.0.0:7077",
        .rows = &none,
    };
    options_print_help(&table, stdout);
}

/* Fills `arguments` with the coordinator's: what was typed, and what is left to find. */
static enum status complete_arguments(int argc, char **argv, char model[PATH_MAX], const char **arguments,
                                      struct error *error)
{
    enum status status = STATUS_OK;
    if (!has_option(argc, argv, "--model", "-m")) {
        status = place_of_model(NULL, model, error);
        *arguments++ = "--model";
        *arguments++ = model;
    }
    for (int i = 1; i < argc; i++)
        *arguments++ = argv[i];
    return status;
}

int serve_main(int argc, char **argv)
{
    char program[PATH_MAX], model[PATH_MAX];
    struct error error;
    if (has_option(argc, argv, "--help", "-h")) {
        print_help();
        return EXIT_CODE_OK;
    }
    const char **arguments = calloc((size_t)argc + 4, sizeof *arguments);
    enum status status = arguments
                             ? program_beside("millrace-coordinator", program, sizeof program, &error)
                             : error_set(&error, STATUS_RESOURCE_EXHAUSTED, "no memory for the arguments");
    if (status == STATUS_OK)
        status = complete_arguments(argc, argv, model, arguments + 1, &error);
    if (status == STATUS_OK) {
        arguments[0] = program;
        execv(program, (char *const *)(uintptr_t)arguments);
        error_set(&error, STATUS_UNKNOWN, "cannot start %s: %s", program, strerror(errno));
    }
    free(arguments);
    return command_fail("millrace serve", &error);
}
