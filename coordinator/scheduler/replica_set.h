#ifndef MILLRACE_COORDINATOR_SCHEDULER_REPLICA_SET_H
#define MILLRACE_COORDINATOR_SCHEDULER_REPLICA_SET_H

#include "coordinator/scheduler/policy.h"
#include "coordinator/scheduler/replica.h"

/*
 * All replicas that are known, and what the decisions about runs need of them: found by name and by
 * connection in constant time, counted by state, and in two tables beside each other, which every event keeps
 * up. So a message costs the same whatever the number of replicas, and a decision reads two arrays.
 *
 * Whoever changes a replica's state, is_closed, capacity or cost calls replica_set_update; whoever gives it a
 * run or takes one away does so here. Zeroed memory is an empty set; guarded by the scheduler's lock.
 */

/* How fast a replica is, for estimates. */
struct replica_pace {
    bool is_measured; /* and ready */
    struct cost_line line;
    double most_tokens;      /* of any step that was measured */
    double max_tokens;       /* that it takes */
    double rate, least_rate; /* positions and steps in a second when it is full, by the line and at the least
                                cost; 0: not ready, or not measured */
};

struct replica_set {
    struct replica *first, *last;
    int n;
    struct hash_table by_name, by_connection;
    struct replica **replicas;     /* [n] by index, in the order in which they came */
    struct policy_replica *places; /* [n] */
    struct replica_pace *paces;    /* [n] */
    int capacity;
    int n_in_state[REPLICA_DRAINED + 1];
    int n_unmeasured;       /* open ones */
    int64_t longest;        /* text that a ready one takes */
    int64_t running_tokens; /* positions of all runs on all of them */
};

void replica_set_free(struct replica_set *set);

/* Finds it or makes it (starting). NULL without memory. */
struct replica *replica_set_get(struct replica_set *set, const char *name);
/* NULL: never heard of. */
struct replica *replica_set_find(const struct replica_set *set, const char *name);
/* NULL: the connection is no replica's any more. */
struct replica *replica_set_find_connection(const struct replica_set *set, const void *connection);
/* Takes it out and frees it; it is not attached, and runs nothing. */
void replica_set_remove(struct replica_set *set, struct replica *replica);

/* Attaches it, or (with NULL) takes its connection away. False: no memory. */
bool replica_set_connect(struct replica_set *set, struct replica *replica,
                         const struct replica_connection *operations, void *connection);
void replica_set_disconnect(struct replica_set *set, struct replica *replica);

void replica_set_state(struct replica_set *set, struct replica *replica, enum replica_state state);
/* After a change of what the tables are made of. */
void replica_set_update(struct replica_set *set, struct replica *replica);

/* Makes sure that one more run can be added to it. False: no memory. */
bool replica_set_reserve_run(struct replica_set *set, const struct replica *replica);
/* A run comes (reserved before), takes a step, goes (run->replica stays). */
void replica_set_add_run(struct replica_set *set, struct replica *replica, struct run *run);
void replica_set_step_run(struct replica_set *set, struct replica *replica, struct run *run);
void replica_set_remove_run(struct replica_set *set, struct replica *replica, struct run *run);

/* The longest text that it takes now, beside what it runs; less than 1: none. */
int64_t replica_set_room(const struct replica_set *set, const struct replica *replica);
/* The longest text that a ready replica takes; -1: none is ready. */
int64_t replica_set_longest(const struct replica_set *set);
/* Is any in that state? */
bool replica_set_any(const struct replica_set *set, enum replica_state state);

#endif
