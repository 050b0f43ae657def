#ifndef MILLRACE_BENCH_LOAD_CPU_H
#define MILLRACE_BENCH_LOAD_CPU_H

#include <sys/types.h>

/* CPU seconds, user and system, of a process since its start; 0 for one that is gone. */
double cpu_seconds(pid_t pid);

/* Of all its descendants that live. */
double cpu_seconds_of_children(pid_t pid);

#endif
