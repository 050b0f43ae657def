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

/* How many threads each rank gets: as many as were asked for; for 0, its share of the cores that this process
 * may use.
 */
int mpirun_threads(int64_t asked, int n_ranks);

/* Begins a command line: mpirun with n_ranks ranks of the program at `program`. The caller adds the program's
 * options. Each rank has a core of its own where there are enough; else a rank that waits gives its core to
 * the others, as in a cluster. */
void mpirun_begin(struct arguments *arguments, int n_ranks, int n_threads, const char *program);

/*
 * Runs the command line to its end. *output is a temporary file with what it printed, ready to be read from
 * the start; the caller closes it. *code is the exit code. Its standard error is ours. CANCELLED: the user
 * has interrupted; call interrupt_block before.
 */
enum status mpirun_run(const struct arguments *arguments, FILE **output, int *code, struct error *error);

#endif
