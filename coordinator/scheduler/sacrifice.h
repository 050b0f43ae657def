#ifndef MILLRACE_COORDINATOR_SCHEDULER_SACRIFICE_H
#define MILLRACE_COORDINATOR_SCHEDULER_SACRIFICE_H

#include "coordinator/scheduler/policy.h"

/*
 * Which runs give way to a waiting one, as a part of a decision of the policy (policy.h says the rule). A run
 * that was accepted at due_at or before it is due, and does not give way.
 */

/* The open replica where room can be made for `waiting` at the least cost in positions; -1: nowhere, or no
 * memory. What gives way there is appended to decision->preempted and counted out of the occupancy. */
int sacrifice_choose(const struct policy_input *input, const struct policy_waiting *waiting, double due_at,
                     struct policy_decision *decision);

/* Counts all that gave way in again. */
void sacrifice_count_back(const struct policy_input *input, const struct policy_decision *decision);

#endif
