#ifndef MILLRACE_COMMON_MACHINE_HOST_MEMORY_H
#define MILLRACE_COMMON_MACHINE_HOST_MEMORY_H

#include <stddef.h>

/* What the machine has, in bytes, or what this process may take of it, where that is less: in a container or
 * a batch job the kernel ends who takes more. */
size_t host_memory_bytes(void);

/*
 * The least memory limit of the control groups that a process is in, with those above them; SIZE_MAX: none.
 * `groups` is the process's list (/proc/self/cgroup), `mount` where their files are (/sys/fs/cgroup). Version
 * 2: DIRECTORY/memory.max; version 1: memory/DIRECTORY/memory.limit_in_bytes (the kernel's
 * admin-guide/cgroup-v2 and cgroup-v1/memory). What cannot be read limits nothing: inside a container the
 * directories above its own are not there.
 */
size_t host_memory_limit(const char *groups, const char *mount);

#endif
