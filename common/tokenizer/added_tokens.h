#ifndef MILLRACE_COMMON_TOKENIZER_ADDED_TOKENS_H
#define MILLRACE_COMMON_TOKENIZER_ADDED_TOKENS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/tokenizer/tokenizer.h"

/* Tokens that are found in the text before it is split: "<|endoftext|>". */
struct added_token {
    struct token_piece content; /* what is looked for in a text; not owned */
    int32_t id;
};
struct added_tokens {
    struct added_token *tokens; /* [n], in the order of their bytes after added_tokens_sort */
    size_t n;
};

enum { ADDED_TOKEN_BYTES_MAX = 256 };

void added_tokens_sort(struct added_tokens *added);

/* The longest added token with which the text begins, or NULL. */
const struct added_token *added_tokens_match(const struct added_tokens *added, const char *text,
                                             size_t size_bytes);

bool added_tokens_has_id(const struct added_tokens *added, int32_t id);

#endif
