#ifndef MILLRACE_COMMON_NEW_FILE_H
#define MILLRACE_COMMON_NEW_FILE_H

#include <stddef.h>

#include "common/status.h"

/*
 * A file that appears under its name only when it is complete. Who reads meanwhile sees the old file or the
 * new one. The new file takes the place of the old one with its owner, group, mode and extended attributes
 * (access lists are such). A symbolic link stays, and what it names is replaced. Where that is not possible,
 * create refuses and nothing has changed: an owner that this user cannot give, a file that this user may not
 * write, a second hard link, a device. Every sentence begins with the path.
 */
struct new_file;

/* The permissions of a file that was not there: 0666 or 0600, less the umask. */
enum status new_file_create(const char *path, struct new_file **file, struct error *error);
enum status new_file_create_private(const char *path, struct new_file **file, struct error *error);
enum status new_file_write(struct new_file *file, const void *bytes, size_t size_bytes, struct error *error);
/* Everything is on the disk after it, beside the old file. It may be left out. */
enum status new_file_sync(struct new_file *file, struct error *error);
/* Syncs, renames, syncs the directory; frees `file`, also on failure (then nothing is left behind). */
enum status new_file_commit(struct new_file *file, struct error *error);
void new_file_abandon(struct new_file *file); /* removes what was written; NULL is allowed */

/* The file that a path names, through links; malloc'ed. NOT_FOUND: a link to nothing. A path where nothing is
 * gives that path. */
enum status file_target(const char *path, char **target, struct error *error);

#endif
