#include "coordinator/scheduler/request_table.h"

#include <assert.h>

#include "common/ticket.h"

static struct run **bucket_of(struct request_table *table, uint64_t number)
{
    return &table->buckets[number % REQUEST_TABLE_BUCKETS];
}

struct run *request_table_add(struct request_table *table, struct request *request)
{
    struct run *run = run_create(table->last_number + 1, request);
    if (!run)
        return NULL;
    struct run **bucket = bucket_of(table, ++table->last_number);
    run->next_in_bucket = *bucket;
    *bucket = run;
    table->n++;
    return run;
}

struct run *request_table_find(const struct request_table *table, uint64_t number)
{
    struct run *run = table->buckets[number % REQUEST_TABLE_BUCKETS];
    while (run && run->number != number)
        run = run->next_in_bucket;
    return run;
}

struct run *request_table_find_ticket(const struct request_table *table, uint64_t ticket)
{
    struct run *run = request_table_find(table, ticket_number(ticket));
    return run && run->ticket == ticket ? run : NULL;
}

void request_table_remove(struct request_table *table, struct run *run)
{
    struct run **link = bucket_of(table, run->number);
    while (*link != run) {
        assert(*link); /* it is in the table */
        link = &(*link)->next_in_bucket;
    }
    *link = run->next_in_bucket;
    table->n--;
}
