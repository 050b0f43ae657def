#ifndef MILLRACE_COORDINATOR_SCHEDULER_REPLICA_SET_H
#define MILLRACE_COORDINATOR_SCHEDULER_REPLICA_SET_H

#include "coordinator/scheduler/policy.h"
#include "coordinator/scheduler/replica.h"

/*
 * All known replicas, and what decisions about runs need to know of them. The set finds a replica by name or
 * by connection in constant time, and counts replicas by state. Two arrays, `places` and `paces`, hold the
 * numbers for decisions; every event keeps them up to date. So a message costs the same whatever the number
 * of replicas, and a decision reads two arrays.
 *
 * Call replica_set_update after a change of a replica's is_closed, capacity or cost. Change its state with
 * replica_set_state, and its runs with the functions here. Zeroed memory is an empty set. The scheduler's
 * lock guards it.
 */

/* How fast a replica is, for estimates. */
struct replica_pace {
    bool is_measured; /* its steps were measured, and it is ready */
    struct cost_line line;
    double most_tokens; /* in any step that was measured */
    double max_tokens;  /* that it takes at a time */
    /* positions × steps in a second when it is full: as `line` says, and if a batch above most_tokens took no
     * longer than one of most_tokens. 0: not ready, or not measured */
    double rate, least_rate;
};

struct replica_set {
    struct replica *first, *last;
    int n;
    uint64_t last_number; /* that a replica was given */
    struct hash_table by_name, by_connection;
    struct replica **replicas;     /* [n] by replica.index, in the order in which they came */
    struct policy_replica *places; /* [n] the policy's input */
    struct replica_pace *paces;    /* [n] for estimates */
    int capacity;
    int n_in_state[REPLICA_DRAINED + 1];
    int n_unmeasured;       /* of the open ones */
    int64_t longest;        /* text that any ready one takes */
    int64_t running_tokens; /* positions of all runs on all of them */
};

void replica_set_free(struct replica_set *set);

/* Finds the replica, or makes a new one (starting). NULL without memory. */
struct replica *replica_set_get(struct replica_set *set, const char *name);
/* NULL: no replica of that name is known. */
struct replica *replica_set_find(const struct replica_set *set, const char *name);
/* NULL: the connection belongs to no replica any more. */
struct replica *replica_set_find_connection(const struct replica_set *set, const void *connection);
/* Takes the replica out and frees it. It must have no runs. */
void replica_set_remove(struct replica_set *set, struct replica *replica);

/* Attaches the replica, and takes its connection away. False: no memory. */
bool replica_set_connect(struct replica_set *set, struct replica *replica,
                         const struct replica_connection *operations, void *connection);
void replica_set_disconnect(struct replica_set *set, struct replica *replica);

void replica_set_state(struct replica_set *set, struct replica *replica, enum replica_state state);
/* Call it after a change of is_closed, capacity or cost. */
void replica_set_update(struct replica_set *set, struct replica *replica);

/* Makes sure that one more run can be added to it. False: no memory. */
bool replica_set_reserve_run(struct replica_set *set, const struct replica *replica);
/* A run comes (after replica_set_reserve_run), takes a step, or goes (run->replica stays as it is). */
void replica_set_add_run(struct replica_set *set, struct replica *replica, struct run *run);
void replica_set_step_run(struct replica_set *set, struct replica *replica, struct run *run);
void replica_set_remove_run(struct replica_set *set, struct replica *replica, struct run *run);

/* The length of the longest run that it takes now, beside those that it has. Less than 1: it takes none. */
int64_t replica_set_room(const struct replica_set *set, const struct replica *replica);
/* The longest text that a ready replica takes; -1: none is ready. */
int64_t replica_set_longest(const struct replica_set *set);
/* Is any replica in that state? */
bool replica_set_any(const struct replica_set *set, enum replica_state state);

#endif
