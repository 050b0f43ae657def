#ifndef MILLRACE_CLI_COMMAND_H
#define MILLRACE_CLI_COMMAND_H

#include <stdio.h>

#include "common/options.h"
#include "common/status.h"

/* One command of `millrace`: argv[0] is its own name. Returns the exit code of the process. */
typedef int command_function(int argc, char **argv);

command_function bench_main, drain_main, generate_main, restart_main, serve_main, status_main, token_main,
    tokenize_main;

enum exit_code { EXIT_CODE_OK = 0, EXIT_CODE_FAILED = 1, EXIT_CODE_USAGE = 2, EXIT_CODE_INTERRUPTED = 130 };

/* Parses the options; prints the help page or what is wrong. Returns -1 to go on, else the exit code. */
int command_options(const struct option_table *table, int argc, char **argv, char ***operands,
                    int *n_operands);

/* Prints a sentence that may hold text of others: what a server said, what the user typed. What could command
 * a terminal becomes '?' (utf8_make_printable); line breaks stay, and one more ends the sentence. */
void command_say(FILE *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Says on standard error what is wrong with the way the command was typed; returns EXIT_CODE_USAGE. */
int command_refuse(const char *program, const struct error *error);

/* Says on standard error what has failed and what can be done; returns the exit code for it. STATUS_CANCELLED
 * means that the user has interrupted. */
int command_fail(const char *program, const struct error *error);

#endif
