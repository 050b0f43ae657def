#ifndef MILLRACE_COMMON_TOKENIZER_MERGES_H
#define MILLRACE_COMMON_TOKENIZER_MERGES_H

#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

/* The pairs of neighbours that BPE merges: (left, right) → rank, and the id that the merge makes. A hash
 * table with open addressing, at most half full. */
struct merge_table {
    struct merge_slot *slots; /* [mask + 1] */
    uint32_t mask;
    int32_t *results; /* [n]: the id that the merge of this rank makes */
    uint32_t n;
};

enum { MERGE_NONE = -1 };

/* Room for `capacity` merges. RESOURCE_EXHAUSTED without memory. */
enum status merge_table_init(struct merge_table *table, size_t capacity, struct error *error);
void merge_table_release(struct merge_table *table);

/* Gives the pair the next rank. ALREADY_EXISTS (and nothing changes) when it has one. */
enum status merge_table_add(struct merge_table *table, int32_t left, int32_t right, int32_t result);

/* The rank of a pair (lower merges first), or MERGE_NONE. */
int32_t merge_table_rank(const struct merge_table *table, int32_t left, int32_t right);

#endif
