#ifndef MILLRACE_COORDINATOR_SERVICES_PROBES_H
#define MILLRACE_COORDINATOR_SERVICES_PROBES_H

#include "coordinator/monitoring/http.h"
#include "coordinator/services/services.h"

/*
 * The pages of --http:
 *     /metrics   for Prometheus (docs/metrics.md)
 *     /healthz   200 while the main loop turns; 503 when it has not turned for 30 s: the process should be
 *                started again
 *     /readyz    200 while a replica is ready: every rank has loaded and a warm-up step is done;
 *                else 503 with the reason. The gRPC health service says the same.
 *
 * The context of the HTTP server is a struct coordinator.
 */
extern const struct http_page probe_pages[];

/* Says that the main loop turns. The main loop calls it about once a second. */
void probes_beat(struct coordinator *coordinator);

#endif
