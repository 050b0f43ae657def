#ifndef MILLRACE_COMMON_MODEL_FILE_H
#define MILLRACE_COMMON_MODEL_FILE_H

#include <stddef.h>

#include "common/file_read.h"
#include "common/status.h"

/*
 * Files of a model directory, as untrusted input. For output see common/new_file.h.
 * Every sentence begins with the path.
 */

/* NOT_FOUND with what to do when there is no such directory; INVALID_ARGUMENT when it is something else. */
enum status model_directory_check(const char *directory, struct error *error);

/* DIRECTORY/NAME, malloc'ed; NULL without memory. */
char *model_path(const char *directory, const char *name);

/* A regular file mapped read-only and private. The file must not be shortened while it is mapped. */
struct file_mapping {
    void *bytes; /* NULL for an empty file */
    size_t size_bytes;
};
enum status file_map(const char *path, struct file_mapping *mapping, struct error *error);
void file_unmap(struct file_mapping *mapping);
/* The pages of these bytes, if they are of this mapping, leave this process; reading them brings them back.
 */
void file_let_go(const struct file_mapping *mapping, const void *bytes, size_t size_bytes);

#endif
