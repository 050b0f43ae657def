#ifndef MILLRACE_CLI_CLUSTER_MPIRUN_H
#define MILLRACE_CLI_CLUSTER_MPIRUN_H

#include <stdint.h>
#include <stdio.h>

#include "common/launcher.h"
#include "common/status.h"

/* Runs of millrace-worker on this machine with a number of ranks, for commands that need a model but no
 * coordinator. */
enum { MPIRUN_RUNS_MAX = 16, MPIRUN_RANKS_MAX = 256 };

/* The value of an option --ranks: "1,2,4". */
enum status mpirun_parse_ranks(const char *text, int ranks[MPIRUN_RUNS_MAX], int *n, struct error *error);

/* Threads of each rank: as many as were asked for or, for 0, the cores that this process may use, shared. */
int mpirun_threads(int64_t asked, int n_ranks);

/* Begins a command line: mpirun with n_ranks of the program at `program`, which get what is added after this.
 * Each rank has a core of its own where there are enough, and is polite to the others where there are not, as
 * in a cluster. */
void mpirun_begin(struct arguments *arguments, int n_ranks, int n_threads, const char *program);

/*
 * Runs it to its end; *output is a temporary file with what it printed, at its beginning, for the caller to
 * close, and *code the exit code. Its errors go where ours go. CANCELLED when the user interrupts
 * (interrupt_block is called before).
 */
enum status mpirun_run(const struct arguments *arguments, FILE **output, int *code, struct error *error);

#endif
