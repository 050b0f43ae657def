#ifndef MILLRACE_COMMON_TOKENIZER_BPE_H
#define MILLRACE_COMMON_TOKENIZER_BPE_H

#include <stddef.h>
#include <stdint.h>

#include "common/status.h"
#include "common/tokenizer/merges.h"

/* A list of ids that grows. It starts as zeros; its owner frees ids. */
struct id_buffer {
    int32_t *ids;
    size_t n, capacity;
};

/* Makes room for `more` ids. RESOURCE_EXHAUSTED without memory. */
enum status id_buffer_reserve(struct id_buffer *buffer, size_t more, struct error *error);

/* Working memory of bpe_encode, which uses it again for the next piece. It starts as zeros. */
struct bpe_scratch {
    struct bpe_symbol *symbols; /* [capacity] */
    uint64_t *heap;             /* [2 * capacity] */
    size_t capacity;            /* bytes of the longest piece so far */
};
void bpe_scratch_release(struct bpe_scratch *scratch);

/*
 * Appends the ids of one piece of 1 byte to INT32_MAX bytes. It starts with one symbol for each byte, and
 * merges the pair of least rank, the leftmost of equals, until no neighbours merge. This takes O(n log n):
 * the symbols are a linked list, and a heap holds the candidates. A candidate whose symbols have changed
 * meanwhile is dropped when it reaches the top.
 */
enum status bpe_encode(const struct merge_table *merges, const int32_t byte_ids[256], const char *piece,
                       size_t size_bytes, struct bpe_scratch *scratch, struct id_buffer *out,
                       struct error *error);

/* The same for a piece whose first symbols are these ids: at most INT32_MAX of them. */
enum status bpe_merge(const struct merge_table *merges, const int32_t *ids, size_t n_ids,
                      struct bpe_scratch *scratch, struct id_buffer *out, struct error *error);

#endif
