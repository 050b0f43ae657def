#ifndef MILLRACE_COMMON_OPTIONS_H
#define MILLRACE_COMMON_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/status.h"

/*
 * One table per program says everything about its options: name, environment variable, default, bounds
 * and help. Parsing, --help and the error messages all come from the same row.
 */
enum option_kind {
    OPTION_FLAG,
    OPTION_INTEGER,
    OPTION_REAL,
    OPTION_TEXT,
    OPTION_LISTEN,  /* a text that is an address to listen on (address.h) */
    OPTION_ENDPOINT /* a text that is an address to call */
};

struct option_row {
    const char *name; /* "batch-tokens": --batch-tokens N */
    char letter;      /* 'l': -l N; 0: none */
    enum option_kind kind;
    const char *value_name;  /* "N", "DIR" */
    const char *environment; /* "MILLRACE_BATCH_TOKENS", or NULL. The command line wins */
    const char *fallback;    /* the default, as it would be typed; NULL: none (0, NaN, NULL, false) */
    double least, most;      /* INTEGER and REAL, inclusive; least == most (both left out): no bounds */
    const char *help;        /* one sentence, may have line breaks */
    void *value;             /* bool *, int64_t *, double * or const char ** */
    bool *given;             /* set when it came from the command line or the environment; may be NULL */
    bool *typed;             /* set when it came from the command line; may be NULL */
};

struct option_table {
    const char *program;           /* "millrace generate" */
    const char *summary;           /* what it does, a paragraph */
    const char *operands;          /* "[PROMPT]", or "" */
    const char *examples;          /* lines to type, joined with "\n"; or NULL */
    const struct option_row *rows; /* ends with .name = NULL */
    int max_operands;
};

/*
 * Fills the values from defaults, environment and argv (argv[0] is skipped). An empty environment variable
 * counts as not set.
 *
 * Options are --name VALUE, --name=VALUE, -x VALUE, -xVALUE, and for a flag --name and --name=true|false (in
 * the environment also yes/no, on/off, 1/0). Names are not abbreviated. `--` ends the options. --help or -h
 * sets *help and stops. All other words are operands, also between options, and so is a lone `-`. *operands
 * points into argv, whose order changes; *n_operands counts them.
 *
 * INVALID_ARGUMENT names the option, the value and the limits; for an unknown name it proposes the nearest
 * one. Values of texts and addresses point into argv or the environment.
 */
enum status options_parse(const struct option_table *table, int argc, char **argv, bool *help,
                          char ***operands, int *n_operands, struct error *error);

/* Prints the page of --help. With MILLRACE_HELP=man in the environment it is a manual page, which packages
 * install. With MILLRACE_HELP=words it is one option a line, from which shells complete; an option that takes
 * a value ends in
 * "=". */
void options_print_help(const struct option_table *table, FILE *out);

#endif
