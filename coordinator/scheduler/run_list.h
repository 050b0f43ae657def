#ifndef MILLRACE_COORDINATOR_SCHEDULER_RUN_LIST_H
#define MILLRACE_COORDINATOR_SCHEDULER_RUN_LIST_H

#include "coordinator/request/run.h"

/* Runs that wait, or that one replica has. A run is in one list at most. The scheduler's lock guards the
 * list. Zeroed memory is an empty list. */
struct run_list {
    struct run *first, *last;
    int n;
    int64_t n_tokens; /* positions of all together */
    int64_t work;     /* the sum of positions × steps left */
};

void run_list_append(struct run_list *list, struct run *run);
/* Inserts the run by its number. */
void run_list_insert(struct run_list *list, struct run *run);
/* Takes the run out of its list, if it is in one. */
void run_list_remove(struct run *run);

#endif
