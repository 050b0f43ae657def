#ifndef MILLRACE_COORDINATOR_SCHEDULER_RUN_TABLE_H
#define MILLRACE_COORDINATOR_SCHEDULER_RUN_TABLE_H

#include "coordinator/request/run.h"

/* Every run of a live request by its number, which the table also hands out. Guarded by the scheduler's lock.
 * Zeroed memory is an empty table. */
enum { RUN_TABLE_BUCKETS = 256 };

struct run_table {
    struct run *buckets[RUN_TABLE_BUCKETS];
    uint64_t last_number;
    int n;
};

/* Numbers the run and puts it in. */
void run_table_add(struct run_table *table, struct run *run);
/* NULL: no such run lives (any more). */
struct run *run_table_find(const struct run_table *table, uint64_t number);

/* NULL: no run that lives has that ticket (common/ticket.h) now. */
struct run *run_table_find_ticket(const struct run_table *table, uint64_t ticket);
/* Takes it out. */
void run_table_remove(struct run_table *table, struct run *run);

#endif
