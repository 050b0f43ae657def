#ifndef MILLRACE_COORDINATOR_REQUEST_RUN_PLACE_H
#define MILLRACE_COORDINATOR_REQUEST_RUN_PLACE_H

#include <stdbool.h>
#include <stdint.h>

#include "coordinator/request/generate_options.h"

/* A run on a replica, as the replica's occupancy (coordinator/scheduler/occupancy.h) and the policy see it:
 * plain numbers. It lies in the run. */
struct run_place {
    uint64_t number; /* of the run; in the order of acceptance */
    enum request_class class;
    int length; /* positions */
    uint32_t steps_left;
    double accepted_at;                /* seconds */
    bool is_chosen;                    /* to give way, by the decision that is being made */
    struct run_place *older, *younger; /* of its class on the same replica, by number */
};

#endif
