#include "common/tokenizer/bpe.h"

#include <stdlib.h>

/* A node of the list; `rank` is that of merging it with its right neighbour, MERGE_NONE for none or when it
 * is gone. */
struct bpe_symbol {
    int32_t id, rank, previous, next;
};

/* A binary heap of candidates, the least on top: rank in the high half, position in the low half, so that
 * one comparison orders by rank and then from the left. */
struct heap {
    uint64_t *items;
    size_t n;
};

static void heap_push(struct heap *heap, uint64_t item)
{
    size_t at = heap->n++;
    while (at > 0 && heap->items[(at - 1) / 2] > item) {
        heap->items[at] = heap->items[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap->items[at] = item;
}

static uint64_t heap_pop(struct heap *heap)
{
    uint64_t least = heap->items[0], last = heap->items[--heap->n];
    size_t at = 0;
    for (size_t child = 1; child < heap->n; child = 2 * at + 1) {
        if (child + 1 < heap->n && heap->items[child + 1] < heap->items[child])
            child++;
        if (heap->items[child] >= last)
            break;
        heap->items[at] = heap->items[child];
        at = child;
    }
    heap->items[at] = last;
    return least;
}

/* Looks up the rank of the pair that begins at `position` and, if it has one, makes the pair a candidate. */
static void offer_pair(const struct merge_table *merges, struct bpe_symbol *symbols, int32_t position,
                       struct heap *heap)
{
    struct bpe_symbol *left = &symbols[position];
    left->rank = left->next < 0 ? MERGE_NONE : merge_table_rank(merges, left->id, symbols[left->next].id);
    if (left->rank != MERGE_NONE)
        heap_push(heap, (uint64_t)left->rank << 32 | (uint32_t)position);
}

static void merge_at(const struct merge_table *merges, struct bpe_symbol *symbols, int32_t position,
                     struct heap *heap)
{
    struct bpe_symbol *left = &symbols[position], *right = &symbols[left->next];
    left->id = merges->results[left->rank];
    left->next = right->next;
    right->rank = MERGE_NONE;
    if (right->next >= 0)
        symbols[right->next].previous = position;
    offer_pair(merges, symbols, position, heap);
    if (left->previous >= 0)
        offer_pair(merges, symbols, left->previous, heap);
}

/* Each of at most n - 1 merges takes one candidate and offers at most two, so the heap never holds more than
 * 2n. */
static void merge_all(const struct merge_table *merges, struct bpe_symbol *symbols, int32_t n,
                      uint64_t *heap_items)
{
    struct heap heap = {.items = heap_items};
    for (int32_t i = 0; i < n; i++)
        offer_pair(merges, symbols, i, &heap);
    while (heap.n > 0) {
        uint64_t candidate = heap_pop(&heap);
        int32_t position = (int32_t)(uint32_t)candidate;
        if (symbols[position].rank == (int32_t)(candidate >> 32))
            merge_at(merges, symbols, position, &heap);
    }
}

static enum status scratch_reserve(struct bpe_scratch *scratch, size_t n, struct error *error)
{
    if (n <= scratch->capacity)
        return STATUS_OK;
    size_t capacity = n < 256 ? 256 : n + n / 2;
    bpe_scratch_release(scratch);
    scratch->symbols = malloc(capacity * sizeof *scratch->symbols);
    scratch->heap = malloc(2 * capacity * sizeof *scratch->heap);
    if (!scratch->symbols || !scratch->heap) {
        bpe_scratch_release(scratch);
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory to encode a word of %zu bytes", n);
    }
    scratch->capacity = capacity;
    return STATUS_OK;
}

void bpe_scratch_release(struct bpe_scratch *scratch)
{
    free(scratch->symbols);
    free(scratch->heap);
    *scratch = (struct bpe_scratch){0};
}

enum status id_buffer_reserve(struct id_buffer *buffer, size_t more, struct error *error)
{
    if (buffer->capacity - buffer->n >= more)
        return STATUS_OK;
    size_t capacity = buffer->n + more + buffer->capacity / 2;
    int32_t *ids = realloc(buffer->ids, capacity * sizeof *ids);
    if (!ids)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for %zu token ids", capacity);
    buffer->ids = ids;
    buffer->capacity = capacity;
    return STATUS_OK;
}

/* Makes room for a piece of n symbols. */
static enum status prepare(struct bpe_scratch *scratch, struct id_buffer *out, size_t n, struct error *error)
{
    enum status status = scratch_reserve(scratch, n, error);
    return status == STATUS_OK ? id_buffer_reserve(out, n, error) : status;
}

static void merge_into(const struct merge_table *merges, struct bpe_scratch *scratch, int32_t n,
                       struct id_buffer *out)
{
    struct bpe_symbol *symbols = scratch->symbols;
    merge_all(merges, symbols, n, scratch->heap);
    for (int32_t i = n > 0 ? 0 : -1; i >= 0; i = symbols[i].next)
        out->ids[out->n++] = symbols[i].id;
}

enum status bpe_encode(const struct merge_table *merges, const int32_t byte_ids[256], const char *piece,
                       size_t size_bytes, struct bpe_scratch *scratch, struct id_buffer *out,
                       struct error *error)
{
    enum status status = prepare(scratch, out, size_bytes, error);
    if (status != STATUS_OK)
        return status;
    struct bpe_symbol *symbols = scratch->symbols;
    int32_t n = (int32_t)size_bytes;
    for (int32_t i = 0; i < n; i++)
        symbols[i] =
            (struct bpe_symbol){byte_ids[(unsigned char)piece[i]], MERGE_NONE, i - 1, i + 1 < n ? i + 1 : -1};
    merge_into(merges, scratch, n, out);
    return STATUS_OK;
}

enum status bpe_merge(const struct merge_table *merges, const int32_t *ids, size_t n_ids,
                      struct bpe_scratch *scratch, struct id_buffer *out, struct error *error)
{
    enum status status = prepare(scratch, out, n_ids, error);
    if (status != STATUS_OK)
        return status;
    int32_t n = (int32_t)n_ids;
    for (int32_t i = 0; i < n; i++)
        scratch->symbols[i] = (struct bpe_symbol){ids[i], MERGE_NONE, i - 1, i + 1 < n ? i + 1 : -1};
    merge_into(merges, scratch, n, out);
    return STATUS_OK;
}
