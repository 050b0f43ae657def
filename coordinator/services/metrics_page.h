#ifndef MILLRACE_COORDINATOR_SERVICES_METRICS_PAGE_H
#define MILLRACE_COORDINATOR_SERVICES_METRICS_PAGE_H

#include "coordinator/services/services.h"

/* All that /metrics shows (docs/metrics.md): what was counted, what is true now, and what the process takes.
 * The scheduler's lock is held only while its replicas are copied. */
void metrics_page_write(struct coordinator *coordinator, struct exposition *page);

#endif
