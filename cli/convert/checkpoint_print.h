#ifndef MILLRACE_CLI_CONVERT_CHECKPOINT_PRINT_H
#define MILLRACE_CLI_CONVERT_CHECKPOINT_PRINT_H

#include <stdio.h>

#include "common/status.h"

/* Prints for people what a checkpoint (.pth) holds: its step, and each network with its shapes or the reason
 * why it cannot be converted. */
enum status checkpoint_print(const char *path, FILE *out, struct error *error);

#endif
