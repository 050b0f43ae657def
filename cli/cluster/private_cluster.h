#ifndef MILLRACE_CLI_CLUSTER_PRIVATE_CLUSTER_H
#define MILLRACE_CLI_CLUSTER_PRIVATE_CLUSTER_H

#include <stdint.h>

#include "common/process.h"
#include "common/status.h"

/*
 * A cluster on this machine for the time of one command: a coordinator on a free port that starts its own
 * replica. The log of its programs is kept aside; its last lines are shown when the start fails.
 */
struct private_cluster {
    struct process coordinator;
    int log; /* a memory file, or -1 */
    char address[64];
};
/* No cluster yet; stop is allowed from here on. */
#define PRIVATE_CLUSTER_NONE ((struct private_cluster){.log = -1})

/* Starts it and waits until it listens. CANCELLED when the user interrupts. On failure everything is stopped.
 */
enum status private_cluster_start(struct private_cluster *cluster, const char *model_directory,
                                  int64_t n_ranks, struct error *error);

/* Ends it and waits until it is gone. */
void private_cluster_stop(struct private_cluster *cluster);

/* Shows on standard error the last lines that its programs have logged. */
void private_cluster_show_log(const struct private_cluster *cluster);

#endif
