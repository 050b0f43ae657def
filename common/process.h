#ifndef MILLRACE_COMMON_PROCESS_H
#define MILLRACE_COMMON_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/status.h"

/*
 * A child process. It has a process group of its own, so that Ctrl-C reaches this program first. It gets
 * SIGTERM when the thread that started it ends, in whatever way. It begins with no signal blocked, with
 * SIGPIPE as usual, and with an empty standard input.
 */
struct process {
    pid_t pid;  /* 0: none */
    int handle; /* a pidfd, readable when the child has ended; -1: the kernel gives none, so we poll */
};

struct process_options {
    char *const *arguments;   /* ends with NULL; [0] is a path, or a name that is looked up in PATH */
    char *const *environment; /* ends with NULL; NULL: ours */
    int output, errors;       /* descriptors for its standard output and errors; -1: the same as ours */
    int kept;                 /* a descriptor that it inherits under the same number; -1: none */
    long descriptors;         /* how many descriptors it may have open; 0: as many as we */
};

/* Returns when the program runs. NOT_FOUND when there is no such program. */
enum status process_start(const struct process_options *options, struct process *process,
                          struct error *error);

/* Waits for the child to end. *code gets the exit code, or 128 + the signal that killed it. False: it still
 * runs after timeout_ms. -1 waits for ever. */
bool process_wait(struct process *process, int timeout_ms, int *code);

/* Sends SIGTERM, and after grace_ms SIGKILL to the whole group. Returns when the child is gone. Does nothing
 * when there is none. */
void process_stop(struct process *process, int grace_ms);

#endif
