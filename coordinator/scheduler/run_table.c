#include "coordinator/scheduler/run_table.h"

#include "common/ticket.h"

bool run_table_init(struct run_table *table)
{
    struct hash_node first; /* only adding the first node can fail */
    if (!hash_table_add(&table->by_number, &first, 0))
        return false;
    hash_table_remove(&table->by_number, &first);
    return true;
}

void run_table_release(struct run_table *table)
{
    hash_table_release(&table->by_number);
}

static bool has_number(const struct hash_node *node, const void *number)
{
    return ((const struct run *)node)->number == *(const uint64_t *)number;
}

void run_table_add(struct run_table *table, struct run *run)
{
    run->number = run->ticket = ++table->last_number;
    hash_table_add(&table->by_number, &run->by_number, hash_number(run->number));
    table->n++;
}

struct run *run_table_find(const struct run_table *table, uint64_t number)
{
    return (struct run *)hash_table_find(&table->by_number, hash_number(number), has_number, &number);
}

struct run *run_table_find_ticket(const struct run_table *table, uint64_t ticket)
{
    struct run *run = run_table_find(table, ticket_number(ticket));
    return run && run->ticket == ticket ? run : NULL;
}

void run_table_remove(struct run_table *table, struct run *run)
{
    hash_table_remove(&table->by_number, &run->by_number);
    table->n--;
}
