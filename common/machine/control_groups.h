#ifndef MILLRACE_COMMON_MACHINE_CONTROL_GROUPS_H
#define MILLRACE_COMMON_MACHINE_CONTROL_GROUPS_H

#include <stddef.h>

/*
 * The limits that Linux control groups (cgroups) set for a process: how a container or a batch job is held to
 * its share. A limit holds for a group and for all groups below it, so the least one from the process's own
 * group up to the root counts. Version 2 keeps them in DIRECTORY/memory.max and DIRECTORY/cpu.max, version 1
 * in memory/DIRECTORY/memory.limit_in_bytes and cpu/DIRECTORY/cpu.cfs_{quota,period}_us (the kernel's
 * admin-guide/cgroup-v2, cgroup-v1/memory and scheduler/sched-bwc). A file that cannot be read limits
 * nothing: inside a container the directories above its own do not exist.
 */
struct control_groups {
    const char *list;  /* the groups that the process is in, one a line */
    const char *mount; /* the directory of their files */
};

/* Those of this process: /proc/self/cgroup and /sys/fs/cgroup. */
extern const struct control_groups control_groups_here;

/* How much memory the process may take; SIZE_MAX: no limit. */
size_t control_groups_memory_bytes(const struct control_groups *groups);

/* How many seconds of processor time the process gets each second; INFINITY: no limit. */
double control_groups_cpu_quota(const struct control_groups *groups);

#endif
