#include "common/tokenizer/words.h"

#include <stdlib.h>
#include <string.h>

struct word_slot {
    struct token_piece word;
    uint32_t hash;
    int32_t id; /* WORD_NONE: empty */
};

/* FNV-1a, whose low bits alone would not do for a mask. */
static uint32_t hash_word(const char *word, size_t size_bytes)
{
    uint64_t hash = 0xCBF29CE484222325u;
    for (size_t i = 0; i < size_bytes; i++)
        hash = (hash ^ (unsigned char)word[i]) * 0x100000001B3u;
    return (uint32_t)(hash ^ hash >> 32);
}

/* The slot that holds the word, or the empty one where it belongs. */
static struct word_slot *find_slot(const struct word_table *table, const char *word, size_t size,
                                   uint32_t hash)
{
    for (size_t at = hash & table->mask;; at = (at + 1) & table->mask) {
        struct word_slot *slot = &table->slots[at];
        if (slot->id == WORD_NONE ||
            (slot->hash == hash && slot->word.size_bytes == size && !memcmp(slot->word.bytes, word, size)))
            return slot;
    }
}

enum status word_table_init(struct word_table *table, size_t capacity, struct error *error)
{
    size_t n = 16;
    while (n < 2 * capacity)
        n *= 2;
    table->slots = calloc(n, sizeof *table->slots);
    if (!table->slots)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for %zu words", capacity);
    table->mask = n - 1;
    for (size_t i = 0; i < n; i++)
        table->slots[i].id = WORD_NONE;
    return STATUS_OK;
}

void word_table_release(struct word_table *table)
{
    free(table->slots);
    *table = (struct word_table){0};
}

void word_table_add(struct word_table *table, struct token_piece word, int32_t id)
{
    uint32_t hash = hash_word(word.bytes, word.size_bytes);
    struct word_slot *slot = find_slot(table, word.bytes, word.size_bytes, hash);
    if (slot->id == WORD_NONE)
        *slot = (struct word_slot){word, hash, id};
}

int32_t word_table_find(const struct word_table *table, const char *word, size_t size_bytes)
{
    return find_slot(table, word, size_bytes, hash_word(word, size_bytes))->id;
}
