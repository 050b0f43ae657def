#ifndef MILLRACE_COORDINATOR_SCHEDULER_RUN_TABLE_H
#define MILLRACE_COORDINATOR_SCHEDULER_RUN_TABLE_H

#include "common/hash.h"
#include "coordinator/request/run.h"

/* Every run of a live request, by its number. The table gives the runs their numbers, and grows with them.
 * The scheduler's lock guards it. */
struct run_table {
    struct hash_table by_number;
    uint64_t last_number;
    int n;
};

/* Makes an empty table of zeroed memory. False: no memory. Adding a run cannot fail afterwards. */
bool run_table_init(struct run_table *table);
/* Frees the memory of an empty table. */
void run_table_release(struct run_table *table);

/* Numbers the run and puts it in. */
void run_table_add(struct run_table *table, struct run *run);
/* NULL: the table has no such run (any more). */
struct run *run_table_find(const struct run_table *table, uint64_t number);

/* NULL: no run in the table has that ticket (common/ticket.h) now. */
struct run *run_table_find_ticket(const struct run_table *table, uint64_t ticket);
/* Takes the run out. */
void run_table_remove(struct run_table *table, struct run *run);

#endif
