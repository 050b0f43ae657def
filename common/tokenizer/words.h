#ifndef MILLRACE_COMMON_TOKENIZER_WORDS_H
#define MILLRACE_COMMON_TOKENIZER_WORDS_H

#include <stddef.h>
#include <stdint.h>

#include "common/status.h"
#include "common/tokenizer/tokenizer.h"

/* Words → ids: a hash table with open addressing, at most half full. It owns no word. */
struct word_table {
    struct word_slot *slots; /* [mask + 1] */
    size_t mask;
};

enum { WORD_NONE = -1 };

/* Room for `capacity` words. RESOURCE_EXHAUSTED without memory. */
enum status word_table_init(struct word_table *table, size_t capacity, struct error *error);
void word_table_release(struct word_table *table);

/* Of two equal words the first stays. */
void word_table_add(struct word_table *table, struct token_piece word, int32_t id);

/* WORD_NONE: it is not there. */
int32_t word_table_find(const struct word_table *table, const char *word, size_t size_bytes);

#endif
