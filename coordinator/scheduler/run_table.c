#include "coordinator/scheduler/run_table.h"

#include <assert.h>

#include "common/ticket.h"

static struct run **bucket_of(struct run_table *table, uint64_t number)
{
    return &table->buckets[number % RUN_TABLE_BUCKETS];
}

void run_table_add(struct run_table *table, struct run *run)
{
    run->number = run->ticket = ++table->last_number;
    struct run **bucket = bucket_of(table, run->number);
    run->next_in_bucket = *bucket;
    *bucket = run;
    table->n++;
}

struct run *run_table_find(const struct run_table *table, uint64_t number)
{
    struct run *run = table->buckets[number % RUN_TABLE_BUCKETS];
    while (run && run->number != number)
        run = run->next_in_bucket;
    return run;
}

struct run *run_table_find_ticket(const struct run_table *table, uint64_t ticket)
{
    struct run *run = run_table_find(table, ticket_number(ticket));
    return run && run->ticket == ticket ? run : NULL;
}

void run_table_remove(struct run_table *table, struct run *run)
{
    struct run **link = bucket_of(table, run->number);
    while (*link != run) {
        assert(*link); /* it is in the table */
        link = &(*link)->next_in_bucket;
    }
    *link = run->next_in_bucket;
    table->n--;
}
