#ifndef MILLRACE_COORDINATOR_SCHEDULER_OCCUPANCY_H
#define MILLRACE_COORDINATOR_SCHEDULER_OCCUPANCY_H

#include <stdbool.h>
#include <stdint.h>

#include "coordinator/request/run_place.h"

/*
 * An occupancy tells what runs a replica has, and when they leave. All runs of a replica advance together,
 * one step at a time. So it is known in how many steps each will leave.
 *
 * The functions keep sums as runs come, step and go. Each event costs a binary search among the groups of
 * equal steps left, and a memmove where a group begins or ends. Questions read the sums and the groups; only
 * occupancy_start_above also looks at runs, at those of lower classes. A list for each class holds the runs
 * themselves, so that the policy can find those that give way.
 *
 * Room. A replica has room for a run if the run may be sent to it now (occupancy_takes).
 *
 * Units. A length or a number of tokens is a number of positions. Steps are steps of this replica.
 *
 * Ownership. An occupancy owns its groups. A struct run_place belongs to its run: the lists only point to it.
 *
 * Zeroed memory is an empty replica that takes nothing.
 */

/* What a replica takes at a time. */
struct occupancy_limits {
    /* max: runs of one step; held: runs that the replica may have besides, for its next step */
    int max_sequences, held_sequences;
    int64_t max_tokens, held_tokens; /* their positions together */
    /* Runs that leave within so many steps count as gone for max_*. So their successors are sent before they
     * have left, and the replica need not wait for them. */
    uint32_t ahead_steps;
};

/* The runs that have the same number of steps left. */
struct occupancy_group {
    uint32_t steps_left;
    int n;
    int64_t n_tokens;
};

/* The runs of one class, by number. */
struct occupancy_class {
    struct run_place *oldest, *youngest;
    int n;
    int64_t n_tokens;
};

struct occupancy {
    /* The length of the longest run that may be sent now: it starts within ahead_steps, and the replica has
     * no more than max_* and held_* together. Less than 1: no run may be sent. */
    int64_t longest;
    int64_t work; /* the sum over all runs of positions × steps left */
    int n;
    int64_t n_tokens;
    int n_soon; /* of the n runs, how many leave within ahead_steps */
    int64_t soon_tokens;
    struct occupancy_limits limits;
    struct occupancy_group *groups; /* [n_groups] by ascending steps_left, none empty */
    int n_groups, groups_capacity;
    struct occupancy_class by_class[CLASS_COUNT];
};

#define OCCUPANCY_NEVER UINT32_MAX

/* Frees what it owns, and empties it. */
void occupancy_release(struct occupancy *occupancy);
void occupancy_set_limits(struct occupancy *occupancy, const struct occupancy_limits *limits);

/* Makes sure that there is memory to count one more run. False: there is none. */
bool occupancy_reserve(struct occupancy *occupancy);
/* Adds a run to the sums (sign 1; call occupancy_reserve before), or takes it out of them (sign -1). The
 * lists stay as they are. */
void occupancy_count(struct occupancy *occupancy, int length, uint32_t steps_left, int sign);

/* A run comes (call occupancy_reserve before), takes one step, or goes. The place remains the caller's: it
 * must neither move in memory nor be freed between add and remove. */
void occupancy_add(struct occupancy *occupancy, struct run_place *place);
void occupancy_step(struct occupancy *occupancy, struct run_place *place);
void occupancy_remove(struct occupancy *occupancy, struct run_place *place);

/* In how many steps a run of `length` fits beside the runs that are left then. 0: now. OCCUPANCY_NEVER: it
 * does not even fit alone, or not in less than `limit` steps. */
uint32_t occupancy_start_in(const struct occupancy *occupancy, int length, uint32_t limit);

/* The same, but only the runs count that do not give way to a run of `class`. A run gives way if its class is
 * lower and it was accepted after due_at (seconds). OCCUPANCY_NEVER also means that there was no memory to
 * find out. */
uint32_t occupancy_start_above(const struct occupancy *occupancy, int length, enum request_class class,
                               double due_at);

/* May a run of `length` be sent now? */
static inline bool occupancy_takes(const struct occupancy *occupancy, int length)
{
    return length <= occupancy->longest;
}

#endif
