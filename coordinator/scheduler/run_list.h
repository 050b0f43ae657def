#ifndef MILLRACE_COORDINATOR_SCHEDULER_RUN_LIST_H
#define MILLRACE_COORDINATOR_SCHEDULER_RUN_LIST_H

#include "coordinator/request/run.h"

/* Runs that wait, or that one replica has. A run is in one list at most. Guarded by the scheduler's lock.
 * Zeroed memory is an empty list. */
struct run_list {
    struct run *first, *last;
    int n;
    int64_t n_tokens; /* positions of all together */
    int64_t work;     /* positions times steps that are left */
};

void run_list_append(struct run_list *list, struct run *run);
/* To its place by number. */
void run_list_insert(struct run_list *list, struct run *run);
/* Takes it out of the list that it is in, if it is in one. */
void run_list_remove(struct run *run);

#endif
