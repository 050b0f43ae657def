#ifndef MILLRACE_COORDINATOR_MONITORING_PROCESS_USAGE_H
#define MILLRACE_COORDINATOR_MONITORING_PROCESS_USAGE_H

#include "coordinator/monitoring/exposition.h"

/* What this process takes, under the names that Prometheus' own libraries use: process_cpu_seconds_total,
 * process_resident_memory_bytes, process_virtual_memory_bytes, process_open_fds, process_max_fds,
 * process_threads, process_start_time_seconds. What /proc does not tell is left out. */
void process_usage_write(struct exposition *page);

#endif
