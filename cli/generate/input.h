#ifndef MILLRACE_CLI_GENERATE_INPUT_H
#define MILLRACE_CLI_GENERATE_INPUT_H

#include <stddef.h>
#include <stdio.h>

#include "common/status.h"

/*
 * The text that a command works on: the argument; or the file; or standard input, when the argument is "-",
 * or there is none and standard input is no terminal. Otherwise it is empty. A final line break of a file or
 * of standard input is left out (echo and editors write one). INVALID_ARGUMENT for what is no UTF-8 or holds
 * a NUL. *text is malloc'ed and terminated.
 */
enum status input_read(const char *argument, const char *file, char **text, size_t *size_bytes,
                       struct error *error);

#endif
