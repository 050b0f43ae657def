#ifndef MILLRACE_COORDINATOR_SCHEDULER_OCCUPANCY_H
#define MILLRACE_COORDINATOR_SCHEDULER_OCCUPANCY_H

#include "coordinator/scheduler/policy.h"

/* What is on a replica and when it leaves, while a decision is made: the policy's picture of one replica. */
struct occupancy_entry {
    uint64_t number;
    enum request_class class;
    int length;
    uint32_t leaves_in; /* steps */
    int running;        /* index in the policy's input; -1: started by the decision at hand */
    bool may_give_way;
};

struct occupancy {
    const struct policy_replica *replica;
    struct occupancy_entry *entries; /* [n], by leaves_in */
    int n;
    int64_t n_tokens;
    double work; /* positions times steps that are left */
};

#define OCCUPANCY_NEVER UINT32_MAX

/* `entries` has room for one more. */
void occupancy_insert(struct occupancy *occupancy, struct occupancy_entry entry);
struct occupancy_entry occupancy_remove(struct occupancy *occupancy, int index);
int occupancy_find(const struct occupancy *occupancy, uint64_t number); /* it is there */

/* Steps until so many positions fit beside those that are left then; 0: now; ROOM_NEVER: not even alone. */
uint32_t occupancy_start_in(const struct occupancy *occupancy, int length);

/* May it be sent there: it starts within ahead_steps, and no more is sent ahead than may be held? */
bool occupancy_takes(const struct occupancy *occupancy, int length);

#endif
