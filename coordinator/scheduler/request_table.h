#ifndef MILLRACE_COORDINATOR_SCHEDULER_REQUEST_TABLE_H
#define MILLRACE_COORDINATOR_SCHEDULER_REQUEST_TABLE_H

#include "coordinator/scheduler/run.h"

/* Every live run by its number, which it also hands out. Zeroed memory is an empty table; guarded by the
 * scheduler's lock. */
enum { REQUEST_TABLE_BUCKETS = 256 };

struct request_table {
    struct run *buckets[REQUEST_TABLE_BUCKETS];
    uint64_t last_number;
    int n;
};

/* Numbers the request, makes a run of it and puts that in. NULL without memory; the request is then
 * still the caller's. */
struct run *request_table_add(struct request_table *table, struct request *request);
/* NULL: no such run lives (any more). */
struct run *request_table_find(const struct request_table *table, uint64_t number);

/* NULL: no run that lives has that ticket (common/ticket.h) now. */
struct run *request_table_find_ticket(const struct request_table *table, uint64_t ticket);
/* Takes it out; the caller frees it. It must be in no list. */
void request_table_remove(struct request_table *table, struct run *run);

#endif
