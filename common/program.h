#ifndef MILLRACE_COMMON_PROGRAM_H
#define MILLRACE_COMMON_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>

#include "common/status.h"

/*
 * What every program does before anything else.
 *
 * Descriptors 0 to 2 that are closed become /dev/null: else the next file or socket would get such a number,
 * and what is printed would go into it. Where standard output is a program's result, writing to the one that
 * was closed fails, as it should (common/output.h).
 *
 * A peer that hangs up must not end the program: writing to its socket fails like any other call. SIGPIPE
 * would end the program without a word, and OpenSSL writes to sockets without turning that off. A program
 * that people put before a pipe (`ends_with_reader`) still ends when nobody reads its standard output any
 * more, as in `millrace tokenize ... | head -1`.
 */
void program_begin(bool ends_with_reader);

/* The path of the program `name` in the directory of this program's own file. NOT_FOUND: there is none. */
enum status program_beside(const char *name, char *path, size_t size, struct error *error);

#endif
