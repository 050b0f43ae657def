#ifndef MILLRACE_COORDINATOR_ROOM_H
#define MILLRACE_COORDINATOR_ROOM_H

#include "coordinator/scheduler/policy.h"

/* What is on a replica and when it leaves, while a decision is made: the policy's picture of one replica. */
struct room_entry {
    uint64_t number;
    enum request_class class;
    int length;
    uint32_t leaves_in; /* steps */
    int running;        /* index in the policy's input; -1: started by the decision at hand */
    bool may_give_way;
};

struct room {
    const struct policy_replica *replica;
    struct room_entry *entries; /* [n], by leaves_in */
    int n;
    int64_t n_tokens;
    double work; /* positions times steps that are left */
};

#define ROOM_NEVER UINT32_MAX

/* `entries` has room for one more. */
void room_insert(struct room *room, struct room_entry entry);
struct room_entry room_remove(struct room *room, int index);
int room_find(const struct room *room, uint64_t number); /* it is there */

/* Steps until so many positions fit beside those that are left then; 0: now; ROOM_NEVER: not even alone. */
uint32_t room_start_in(const struct room *room, int length);

/* May it be sent there: it starts within ahead_steps, and no more is sent ahead than may be held? */
bool room_takes(const struct room *room, int length);

#endif
