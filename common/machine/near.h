#ifndef MILLRACE_COMMON_MACHINE_NEAR_H
#define MILLRACE_COMMON_MACHINE_NEAR_H

#include <stdbool.h>

/*
 * Processors near a PCI device. A machine with several sockets has GPUs at each; a process that runs on the
 * other socket sends every copy and every launch through the link between them.
 */
struct near_source {
    const char *xml;     /* a topology in hwloc's XML instead of this machine's; or NULL */
    const char *allowed; /* with xml: the processors that the process may use, as in "0-3"; NULL: all */
};

struct nearness {
    int node;         /* NUMA node of the device; -1: unknown */
    int n_processors; /* hardware threads near the device that the process may use; 0: none, or unknown */
    char list[128];   /* them, as in "0-3,8-11"; cut off where it is longer */
};

/* bus_id: "0000:1b:00.0". What cannot be found out is unknown. Takes some 10 ms: it reads the machine's
 * devices. */
void near_read(const struct near_source *source, const char *bus_id, struct nearness *nearness);

/* Binds all threads of this process to them. Nothing is done where none is known, or where the process is
 * already bound to no others: what a launcher has bound stays bound. Returns false when the system refuses.
 */
bool near_stay(const struct nearness *nearness);

#endif
