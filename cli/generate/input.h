#ifndef MILLRACE_CLI_GENERATE_INPUT_H
#define MILLRACE_CLI_GENERATE_INPUT_H

#include <stddef.h>
#include <stdio.h>

#include "common/status.h"

/*
 * The text that a command works on. It is the file, or the argument, or standard input: the latter where the
 * argument or the file is "-", or where there is no argument and standard input is no terminal. Otherwise it
 * is empty. A final line break of a file or of standard input ("\n" or "\r\n") is left out, because echo and
 * editors write one, and so is a byte order mark. INVALID_ARGUMENT: the text is not UTF-8 or holds a NUL.
 * *text is malloc'ed and terminated.
 */
enum status input_read(const char *argument, const char *file, char **text, size_t *size_bytes,
                       struct error *error);

#endif
