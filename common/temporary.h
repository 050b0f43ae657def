#ifndef MILLRACE_COMMON_TEMPORARY_H
#define MILLRACE_COMMON_TEMPORARY_H

#include "common/status.h"

enum { TEMPORARY_ROOM = 256 };

/* Makes a new empty directory $TMPDIR/millrace-NAME-XXXXXX for this user alone, in /tmp where TMPDIR is not
 * set. The caller removes it. OUT_OF_RANGE: TMPDIR is too long. RESOURCE_EXHAUSTED: the directory cannot be
 * made. */
enum status temporary_directory(char path[TEMPORARY_ROOM], const char *name, struct error *error);

/* The same for an empty file. */
enum status temporary_file(char path[TEMPORARY_ROOM], const char *name, struct error *error);

#endif
