#ifndef MILLRACE_COMMON_FILE_READ_H
#define MILLRACE_COMMON_FILE_READ_H

#include <stddef.h>

#include "common/status.h"

/*
 * Whole files, read into memory with a limit. Every sentence begins with the path.
 *
 * Errors: NOT_FOUND, PERMISSION_DENIED and RESOURCE_EXHAUSTED as the system says when it opens the file.
 * INVALID_ARGUMENT: the file is larger than `most_bytes`, or not of the right kind. DATA_LOSS: a read failed.
 * *bytes is malloc'ed and has a NUL behind it.
 */

enum file_kind {
    FILE_REGULAR, /* nothing else, and opening never waits, as opening a FIFO would */
    FILE_ANY,     /* also a pipe or a device: /dev/stdin, or what a shell gives for <(command) */
};

enum status file_read(const char *path, enum file_kind kind, size_t most_bytes, char **bytes,
                      size_t *size_bytes, struct error *error);

/* The same in two steps. `where` stands for the path in sentences; the caller closes the descriptor. */
enum status file_open(const char *path, enum file_kind kind, int *descriptor, struct error *error);
enum status file_read_descriptor(int descriptor, const char *where, size_t most_bytes, char **bytes,
                                 size_t *size_bytes, struct error *error);

#endif
