#ifndef MILLRACE_CLI_CONVERT_CHECKPOINT_PRINT_H
#define MILLRACE_CLI_CONVERT_CHECKPOINT_PRINT_H

#include <stdio.h>

#include "common/status.h"

/* What a checkpoint (.pth) holds, for people: its step, and each network with its shapes, or why it cannot be
 * converted. */
enum status checkpoint_print(const char *path, FILE *out, struct error *error);

#endif
