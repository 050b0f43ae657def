#include "common/tokenizer/merges.h"

#include <assert.h>
#include <stdlib.h>

struct merge_slot {
    uint64_t pair;
    int32_t rank; /* MERGE_NONE: empty */
};

enum { MERGES_MAX = 1 << 28 };

/* The finalizer of splitmix64 (Steele, Lea, Flood 2014): every bit of the pair reaches the low bits. */
static uint32_t hash_pair(uint64_t pair)
{
    pair = (pair ^ pair >> 30) * 0xBF58476D1CE4E5B9u;
    pair = (pair ^ pair >> 27) * 0x94D049BB133111EBu;
    return (uint32_t)(pair ^ pair >> 31);
}

/* The slot that holds the pair, or the empty one where it belongs. */
static struct merge_slot *find_slot(const struct merge_table *table, uint64_t pair)
{
    uint32_t at = hash_pair(pair) & table->mask;
    while (table->slots[at].rank != MERGE_NONE && table->slots[at].pair != pair)
        at = (at + 1) & table->mask;
    return &table->slots[at];
}

static uint64_t pair_of(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

enum status merge_table_init(struct merge_table *table, size_t capacity, struct error *error)
{
    if (capacity > MERGES_MAX)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "model.merges has %zu entries; at most %d are supported", capacity, MERGES_MAX);
    size_t n_slots = 2;
    while (n_slots < 2 * capacity)
        n_slots *= 2;
    struct merge_slot *slots = malloc(n_slots * sizeof *slots);
    int32_t *results = malloc((capacity + 1) * sizeof *results);
    if (!slots || !results) {
        free(slots);
        free(results);
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for %zu merges", capacity);
    }
    for (size_t i = 0; i < n_slots; i++)
        slots[i].rank = MERGE_NONE;
    *table = (struct merge_table){.slots = slots, .mask = (uint32_t)(n_slots - 1), .results = results};
    return STATUS_OK;
}

void merge_table_release(struct merge_table *table)
{
    free(table->slots);
    free(table->results);
    *table = (struct merge_table){0};
}

enum status merge_table_add(struct merge_table *table, int32_t left, int32_t right, int32_t result)
{
    assert(2 * (uint64_t)table->n < (uint64_t)table->mask + 1);
    struct merge_slot *slot = find_slot(table, pair_of(left, right));
    if (slot->rank != MERGE_NONE)
        return STATUS_ALREADY_EXISTS;
    *slot = (struct merge_slot){.pair = pair_of(left, right), .rank = (int32_t)table->n};
    table->results[table->n++] = result;
    return STATUS_OK;
}

int32_t merge_table_rank(const struct merge_table *table, int32_t left, int32_t right)
{
    return find_slot(table, pair_of(left, right))->rank;
}
