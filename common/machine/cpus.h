#ifndef MILLRACE_COMMON_MACHINE_CPUS_H
#define MILLRACE_COMMON_MACHINE_CPUS_H

#include <stddef.h>

#include "common/machine/control_groups.h"

/*
 * The processors that this process may use. hwloc tells cores from hardware threads and knows the caches;
 * control groups say how much time the process gets, which no affinity shows: a container with a quota of one
 * CPU sees every CPU of its machine, and is stopped for the rest of each period when it uses two.
 */
struct cpus {
    int n_hardware_threads; /* that the process may run on: its affinity */
    int n_cores;            /* that have at least one of them */
    double quota;           /* seconds of processor time each second; INFINITY: no limit */
    size_t cache_bytes;     /* the share that one core has of its second-level cache; 0: unknown */
};

/* Where to look. */
struct cpus_source {
    struct control_groups groups;
    const char
        *synthetic; /* a topology in hwloc's words, "core:2 pu:2", instead of this machine's; or NULL */
};

/* What hwloc cannot find out is taken from the affinity, every hardware thread as a core of its own. */
void cpus_read(const struct cpus_source *source, struct cpus *cpus);

/* This machine's, read at the first call (which takes milliseconds) and kept. Any thread may call it. */
const struct cpus *cpus_here(void);

/*
 * How many threads should compute at a time, at least 1: one a core, because two threads of one core share
 * its arithmetic, and no more than whole CPUs of the quota, because a thread that is stopped in the middle of
 * a period holds up all that wait for it.
 */
int cpus_for_computing(const struct cpus *cpus);

#endif
