#include "coordinator/scheduler/request_table.h"

#include <assert.h>

#include "common/ticket.h"

static struct sequence **bucket_of(struct request_table *table, uint64_t number)
{
    return &table->buckets[number % REQUEST_TABLE_BUCKETS];
}

struct sequence *request_table_add(struct request_table *table, struct request *request)
{
    struct sequence *sequence = sequence_create(table->last_number + 1, request);
    if (!sequence)
        return NULL;
    struct sequence **bucket = bucket_of(table, ++table->last_number);
    sequence->next_in_bucket = *bucket;
    *bucket = sequence;
    table->n++;
    return sequence;
}

struct sequence *request_table_find(const struct request_table *table, uint64_t number)
{
    struct sequence *sequence = table->buckets[number % REQUEST_TABLE_BUCKETS];
    while (sequence && sequence->number != number)
        sequence = sequence->next_in_bucket;
    return sequence;
}

struct sequence *request_table_find_ticket(const struct request_table *table, uint64_t ticket)
{
    struct sequence *sequence = request_table_find(table, ticket_number(ticket));
    return sequence && sequence->ticket == ticket ? sequence : NULL;
}

void request_table_remove(struct request_table *table, struct sequence *sequence)
{
    struct sequence **link = bucket_of(table, sequence->number);
    while (*link != sequence) {
        assert(*link); /* it is in the table */
        link = &(*link)->next_in_bucket;
    }
    *link = sequence->next_in_bucket;
    table->n--;
}
