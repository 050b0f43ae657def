#ifndef MILLRACE_COORDINATOR_SCHEDULER_SACRIFICE_H
#define MILLRACE_COORDINATOR_SCHEDULER_SACRIFICE_H

#include "coordinator/scheduler/policy.h"

/*
 * This part of the policy decides which runs give way to a waiting one; policy.h states the rule. A run that
 * was accepted at due_at (seconds) or earlier is due: it does not give way.
 */

/* Returns the open replica where the fewest positions have to give way to `waiting`. -1: there is none, or no
 * memory. Appends the runs that give way there to decision->preempted, and takes them out of the sums of the
 * occupancy. */
int sacrifice_choose(const struct policy_input *input, const struct policy_waiting *waiting, double due_at,
                     struct policy_decision *decision);

/* Adds all runs that gave way to the sums again. */
void sacrifice_count_back(const struct policy_input *input, const struct policy_decision *decision);

#endif
