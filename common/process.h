#ifndef MILLRACE_COMMON_PROCESS_H
#define MILLRACE_COMMON_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/status.h"

/*
 * A child process. It has a process group of its own, so that Ctrl-C reaches this program first. It gets
 * SIGTERM when the thread that started it ends, however that happens. It begins with no signal blocked or
 * ignored, and with an empty standard input.
 */
struct process {
    pid_t pid;  /* 0: none */
    int handle; /* a pidfd, readable when the child has ended; -1: the kernel gives none, so we look */
};

struct process_options {
    char *const *arguments;   /* ends with NULL; [0] is a path, or a name that is looked up in PATH */
    char *const *environment; /* ends with NULL; NULL: ours */
    int output, errors;       /* where its standard output and errors go; -1: where ours go */
    int kept;                 /* stays open under its number; -1: none */
    long descriptors;         /* the most that it may have open; 0: as many as we */
};

/* Returns when the program runs. NOT_FOUND when there is no such program. */
enum status process_start(const struct process_options *options, struct process *process,
                          struct error *error);

/* Waits for the end; *code gets the exit code (128 + signal for a death). False: it still runs after the
 * timeout; -1: for ever. */
bool process_wait(struct process *process, int timeout_ms, int *code);

/* SIGTERM, and after grace_ms SIGKILL to its whole group; returns when the child is gone. Nothing when there
 * is none. */
void process_stop(struct process *process, int grace_ms);

#endif
