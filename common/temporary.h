#ifndef MILLRACE_COMMON_TEMPORARY_H
#define MILLRACE_COMMON_TEMPORARY_H

#include "common/status.h"

enum { TEMPORARY_ROOM = 256 };

/* Makes a new empty directory $TMPDIR/millrace-NAME-XXXXXX (/tmp where TMPDIR is not set) for this user
 * alone, and gives its path; the caller removes it. OUT_OF_RANGE when TMPDIR is too long, RESOURCE_EXHAUSTED
 * when it cannot be made. */
enum status temporary_directory(char path[TEMPORARY_ROOM], const char *name, struct error *error);

/* The same for an empty file. */
enum status temporary_file(char path[TEMPORARY_ROOM], const char *name, struct error *error);

#endif
