#ifndef MILLRACE_COORDINATOR_SHM_DIRECTORY_H
#define MILLRACE_COORDINATOR_SHM_DIRECTORY_H

#include <stddef.h>

/*
 * Where the ranks of one replica keep their shared-memory files: a directory of their own, because ranks that
 * are killed leave them behind and nothing else says whose they were.
 */

/* Makes /dev/shm/millrace-PID-NAME, where there is a /dev/shm, and writes its path; "" where there is none.
 */
void shm_directory_make(const char *name, char *path, size_t size);
/* Removes it with all that is in it. "" is allowed. */
void shm_directory_remove(const char *path);

#endif
