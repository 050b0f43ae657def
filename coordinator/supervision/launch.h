#ifndef MILLRACE_COORDINATOR_SUPERVISION_LAUNCH_H
#define MILLRACE_COORDINATOR_SUPERVISION_LAUNCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/status.h"

/* One replica = one MPI job: how its command line and its process are made. */
struct launch_options {
    const char *mpirun;  /* program, looked up in PATH */
    const char *worker;  /* program */
    const char *model;   /* directory */
    const char *address; /* of the coordinator: its private one */
    const char *token;   /* for it; NULL: none. Goes through the environment */
    const char *backend, *precision;
    const char *log_format;
    int n_ranks, n_threads; /* of each rank */
    int batch_tokens, max_sequences;
    bool bind_to_core;  /* each rank to a core of its own */
    bool oversubscribe; /* more ranks than cores */
    long descriptors;   /* that it may have open; 0: as many as we */
    int grace_seconds;  /* ranks that are told to end get so long */
};

/*
 * Starts replica NAME in a process group of its own, its standard error ours. It gets SIGTERM when the
 * calling thread ends, however that happens. `shm_directory` may be "".
 */
enum status launch_replica(const struct launch_options *options, const char *name, const char *shm_directory,
                           pid_t *pid, struct error *error);

#endif
