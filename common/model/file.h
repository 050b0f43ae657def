#ifndef MILLRACE_COMMON_MODEL_FILE_H
#define MILLRACE_COMMON_MODEL_FILE_H

#include <stddef.h>

#include "common/status.h"

/*
 * Files of a model directory, as untrusted input and as output that is never seen half-written.
 * Every sentence begins with the path.
 */

/* NOT_FOUND with what to do when there is no such directory; INVALID_ARGUMENT when it is something else. */
enum status model_directory_check(const char *directory, struct error *error);

/* DIRECTORY/NAME, malloc'ed. Does not return without memory for it: NULL only then. */
char *model_path(const char *directory, const char *name);

/* Reads a whole regular file of at most `most_bytes`. *bytes is malloc'ed and has a NUL behind it. */
enum status file_read(const char *path, size_t most_bytes, char **bytes, size_t *size_bytes,
                      struct error *error);

/* A regular file mapped read-only and private. The file must not be shortened while it is mapped. */
struct file_mapping {
    void *bytes; /* NULL for an empty file */
    size_t size_bytes;
};
enum status file_map(const char *path, struct file_mapping *mapping, struct error *error);
void file_unmap(struct file_mapping *mapping);

/* A file that appears under its name only when it is complete. */
struct new_file;
enum status new_file_create(const char *path, struct new_file **file, struct error *error);
enum status new_file_write(struct new_file *file, const void *bytes, size_t size_bytes, struct error *error);
/* Syncs, renames, syncs the directory; frees `file`, also on failure (then nothing is left behind). */
enum status new_file_commit(struct new_file *file, struct error *error);
void new_file_abandon(struct new_file *file); /* removes what was written; NULL is allowed */

#endif
