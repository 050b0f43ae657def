#ifndef MILLRACE_COORDINATOR_SERVICES_METRICS_PAGE_H
#define MILLRACE_COORDINATOR_SERVICES_METRICS_PAGE_H

#include "coordinator/services/services.h"

/* Writes the page /metrics (docs/metrics.md): what was counted, what is true now, and what the process takes.
 * It holds the scheduler's lock only to copy the replicas. */
void metrics_page_write(struct coordinator *coordinator, struct exposition *page);

#endif
