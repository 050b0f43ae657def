#ifndef MILLRACE_COORDINATOR_SERVICES_PROBES_H
#define MILLRACE_COORDINATOR_SERVICES_PROBES_H

#include "coordinator/monitoring/http.h"
#include "coordinator/services/services.h"

/*
 * The pages of --http:
 *     /metrics   for Prometheus (docs/metrics.md)
 *     /healthz   200 while the main loop turns; 503 when it has not for 30 s: restart us
 *     /readyz    200 while a replica is ready: every rank has loaded and a warm-up step is done;
 *                else 503 with the reason. The same as the gRPC health service says.
 *
 * The server's context is a struct coordinator.
 */
extern const struct http_page probe_pages[];

/* The main loop's sign of life; call about once a second. */
void probes_beat(struct coordinator *coordinator);

#endif
