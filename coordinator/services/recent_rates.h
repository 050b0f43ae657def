#ifndef MILLRACE_COORDINATOR_SERVICES_RECENT_RATES_H
#define MILLRACE_COORDINATOR_SERVICES_RECENT_RATES_H

#include "coordinator/monitoring/metrics.h"
#include "proto/millrace.pb-c.h"

/* The recent figures as StatusResponse has them. The message points into the struct: do not copy it. */
struct recent_message {
    Millrace__V1__Recent recent;
    Millrace__V1__Quantiles queue, first_frame, total;
};
void recent_message_init(struct recent_message *message, struct metrics *metrics);

#endif
