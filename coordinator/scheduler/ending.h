#ifndef MILLRACE_COORDINATOR_SCHEDULER_ENDING_H
#define MILLRACE_COORDINATOR_SCHEDULER_ENDING_H

#include <stdint.h>

#include "common/status.h"

/* How the scheduler ends a request. */
struct ending {
    enum status status;
    const char *text;    /* the reason; of a finished one NULL */
    const char *replica; /* of a finished one: who ran the last step, and on how many ranks; else NULL */
    uint32_t n_ranks;
};

#endif
