#ifndef MILLRACE_COORDINATOR_SUPERVISION_LAUNCH_H
#define MILLRACE_COORDINATOR_SUPERVISION_LAUNCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/status.h"

/* A replica is one MPI job. This makes its command line and starts its process. */
struct launch_options {
    const char *mpirun;  /* program, looked up in PATH */
    const char *worker;  /* program */
    const char *model;   /* directory */
    const char *address; /* the coordinator's private address */
    const char *token;   /* the token for it, which goes through the environment; NULL: none */
    const char *backend, *precision;
    const char *log_format;
    int n_ranks, n_threads; /* of each rank */
    int replicas_per_gpu;   /* that share a GPU, or as many GPUs as there are ranks; at least 1 */
    int batch_tokens, max_sequences;
    bool bind_to_core;  /* each rank to a core of its own */
    bool oversubscribe; /* all replicas here together have more ranks and threads than there are cores */
    long descriptors;   /* how many descriptors it may have open; 0: as many as we */
    int grace_seconds;  /* between SIGTERM and SIGKILL to its ranks */
};

/*
 * Starts replica `name` in a process group of its own. `launch`: the secret by which the coordinator knows
 * this process (replica.proto); the process finds it in its environment. Its output goes to our standard
 * error. It gets SIGTERM when the calling thread ends, in whatever way. `shm_directory` may be "". `number`:
 * which of this machine's replicas it is, from 0: its GPUs follow those of the replicas before it.
 */
enum status launch_replica(const struct launch_options *options, const char *name, int number,
                           const char *launch, const char *shm_directory, pid_t *pid, struct error *error);

#endif
