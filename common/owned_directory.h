#ifndef MILLRACE_COMMON_OWNED_DIRECTORY_H
#define MILLRACE_COMMON_OWNED_DIRECTORY_H

#include <stdbool.h>

enum { OWNED_DIRECTORY_PATH_MAX = 96 };

/*
 * A directory for as long as this process lives, for this user alone (mode 0700). Its owner holds a lock on
 * it. So the next process that starts can tell a directory in use from one that a killed process has left,
 * and removes the latter.
 */
struct owned_directory {
    char path[OWNED_DIRECTORY_PATH_MAX]; /* "": none */
    int lock;                            /* the open directory */
};

/* Makes PARENT/millrace-PID-NAME. False, with path "": there is no such parent, the name is taken or too
 * long. */
bool owned_directory_make(struct owned_directory *directory, const char *parent, const char *name);
/* Removes the directory with the files in it. A directory that was not made, or zeroed memory, is allowed. */
void owned_directory_remove(struct owned_directory *directory);

/* Removes this user's directories in PARENT whose owner is gone. */
void owned_directory_sweep(const char *parent);

#endif
