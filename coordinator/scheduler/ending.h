#ifndef MILLRACE_COORDINATOR_SCHEDULER_ENDING_H
#define MILLRACE_COORDINATOR_SCHEDULER_ENDING_H

#include <stdint.h>

#include "common/status.h"

/* How the scheduler ends a request. */
struct ending {
    enum status status;
    const char *text;    /* the reason; NULL if it finished */
    const char *replica; /* if it finished: which replica ran the last step; else NULL */
    uint32_t n_ranks;    /* of that replica */
};

#endif
