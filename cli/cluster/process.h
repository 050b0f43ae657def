#ifndef MILLRACE_CLI_CLUSTER_PROCESS_H
#define MILLRACE_CLI_CLUSTER_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/status.h"

/*
 * A child process in its own process group, so that Ctrl-C reaches this program first. It gets SIGTERM when
 * this program dies, whatever way it dies.
 */
struct process {
    pid_t pid;  /* 0: none */
    int handle; /* a pidfd: readable when the child has ended */
};

/* What the child inherits: standard input is empty; output and errors go to these descriptors, or where ours
 * go (-1); `kept` (or -1) stays open under its number. */
struct process_files {
    int output, errors, kept;
};

/* argv[0] is a path, or a name that is looked up in PATH. NOT_FOUND when there is no such program. */
enum status process_start(char *const argv[], struct process_files files, struct process *process,
                          struct error *error);

/* Waits for the end; *code gets the exit code (128 + signal for a death). False: still running after the
 * timeout. */
bool process_wait(struct process *process, int timeout_ms, int *code);

/* SIGTERM, and after grace_ms SIGKILL to its whole group; returns when the child is gone. Nothing when there
 * is none.
 */
void process_stop(struct process *process, int grace_ms);

#endif
