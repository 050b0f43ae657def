#ifndef MILLRACE_COORDINATOR_MONITORING_PROCESS_USAGE_H
#define MILLRACE_COORDINATOR_MONITORING_PROCESS_USAGE_H

#include "coordinator/monitoring/exposition.h"

/* Writes what this process uses, under the names of Prometheus' own libraries: process_cpu_seconds_total,
 * process_resident_memory_bytes, process_virtual_memory_bytes, process_open_fds, process_max_fds,
 * process_threads, process_start_time_seconds. It leaves out what /proc does not tell. */
void process_usage_write(struct exposition *page);

#endif
