#ifndef MILLRACE_COMMON_OWNED_DIRECTORY_H
#define MILLRACE_COMMON_OWNED_DIRECTORY_H

#include <stdbool.h>

enum { OWNED_DIRECTORY_PATH_MAX = 96 };

/*
 * A directory for as long as this process lives, for this user alone (mode 0700). It is locked while its
 * owner lives, so that what a killed process has left behind can be told from what is in use, and removed by
 * the next one that starts.
 */
struct owned_directory {
    char path[OWNED_DIRECTORY_PATH_MAX]; /* "": none */
    int lock;                            /* the open directory */
};

/* Makes PARENT/millrace-PID-NAME. False, with path "", where that cannot be: no such parent, the name is
 * taken, or too long. */
bool owned_directory_make(struct owned_directory *directory, const char *parent, const char *name);
/* Removes it with all files that are in it. One that was not made, or zeroed memory, is allowed. */
void owned_directory_remove(struct owned_directory *directory);

/* Removes those of this user in PARENT whose owner is gone. */
void owned_directory_sweep(const char *parent);

#endif
