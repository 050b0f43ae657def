#ifndef MILLRACE_COORDINATOR_SUPERVISION_SHM_DIRECTORY_H
#define MILLRACE_COORDINATOR_SUPERVISION_SHM_DIRECTORY_H

/*
 * Where the ranks of one replica keep their shared-memory files: a directory of their own, because ranks that
 * are killed leave them behind and nothing else says whose they were. It is locked as long as its owner
 * lives, so that what a killed coordinator left behind can be told from what is in use.
 */
struct shm_directory {
    char path[64]; /* "": none */
    int lock;      /* the open directory */
};

/* Makes /dev/shm/millrace-PID-NAME; path stays "" where there is no /dev/shm. */
void shm_directory_make(struct shm_directory *directory, const char *name);
/* Removes it with all that is in it. One that was not made, or zeroed memory, is allowed. */
void shm_directory_remove(struct shm_directory *directory);

/* Removes those whose owner is gone. */
void shm_directory_sweep(void);

#endif
