#ifndef MILLRACE_COORDINATOR_SCHEDULER_OCCUPANCY_H
#define MILLRACE_COORDINATOR_SCHEDULER_OCCUPANCY_H

#include <stdbool.h>
#include <stdint.h>

#include "coordinator/request/run_place.h"

/*
 * What is on one replica, and when it leaves. All runs of a replica advance together, one step at a time, so
 * when each will leave is known exactly, in steps.
 *
 * The sums are kept up as runs come, step and go: each event costs O(log of the different numbers of steps
 * left), and no question looks at every run. The runs themselves are in one list a class, for whoever seeks
 * one that gives way.
 *
 * Zeroed memory is an empty replica that takes nothing.
 */

/* What a replica takes at a time. */
struct occupancy_limits {
    int max_sequences, held_sequences;
    /* positions together; held: that may be there besides, for the next boundary */
    int64_t max_tokens, held_tokens;
    /* Runs that leave within so many steps count as gone: what takes their places is sent ahead. */
    uint32_t ahead_steps;
};

/* The runs that have the same number of steps left. */
struct occupancy_group {
    uint32_t steps_left;
    int n;
    int64_t n_tokens;
};

/* The runs of one class. */
struct occupancy_class {
    struct run_place *oldest, *youngest;
    int n;
    int64_t n_tokens;
};

struct occupancy {
    /* The longest text that it takes now, so that it starts within ahead_steps and no more is sent ahead than
     * may be held; less than 1: none. */
    int64_t longest;
    int64_t work; /* positions times steps that are left */
    int n;
    int64_t n_tokens;
    int n_soon; /* of n: those that leave within ahead_steps */
    int64_t soon_tokens;
    struct occupancy_limits limits;
    struct occupancy_group *groups; /* [n_groups] by steps_left, none empty */
    int n_groups, groups_capacity;
    struct occupancy_class by_class[CLASS_COUNT];
};

#define OCCUPANCY_NEVER UINT32_MAX

/* Frees what it owns, and empties it. */
void occupancy_release(struct occupancy *occupancy);
void occupancy_set_limits(struct occupancy *occupancy, const struct occupancy_limits *limits);

/* Makes sure that one more run can be counted. False: no memory. */
bool occupancy_reserve(struct occupancy *occupancy);
/* Counts a run in (sign 1; needs occupancy_reserve) or out (sign -1), in the sums alone. */
void occupancy_count(struct occupancy *occupancy, int length, uint32_t steps_left, int sign);

/* A run comes, which needs occupancy_reserve; takes a step; goes. The place stays the caller's, and must stay
 * where it is. */
void occupancy_add(struct occupancy *occupancy, struct run_place *place);
void occupancy_step(struct occupancy *occupancy, struct run_place *place);
void occupancy_remove(struct occupancy *occupancy, struct run_place *place);

/* Steps until so many positions fit beside those that are left then; 0: now; OCCUPANCY_NEVER: not even alone,
 * or not in less than `limit` steps. */
uint32_t occupancy_start_in(const struct occupancy *occupancy, int length, uint32_t limit);

/* The same beside the runs that do not give way to one of `class`: of lower classes only those that were
 * accepted at due_at or before it count. OCCUPANCY_NEVER too where there is no memory to tell. */
uint32_t occupancy_start_above(const struct occupancy *occupancy, int length, enum request_class class,
                               double due_at);

/* May it be sent there? */
static inline bool occupancy_takes(const struct occupancy *occupancy, int length)
{
    return length <= occupancy->longest;
}

#endif
