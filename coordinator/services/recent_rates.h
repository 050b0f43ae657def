#ifndef MILLRACE_COORDINATOR_SERVICES_RECENT_RATES_H
#define MILLRACE_COORDINATOR_SERVICES_RECENT_RATES_H

#include "coordinator/monitoring/metrics.h"
#include "proto/millrace.pb-c.h"

/* The figures of the last minute as StatusResponse has them. The message points into its own struct, so the
 * struct must not be copied. */
struct recent_message {
    Millrace__V1__Recent recent;
    Millrace__V1__Quantiles queue, first_frame, total;
};
void recent_message_init(struct recent_message *message, struct metrics *metrics);

#endif
