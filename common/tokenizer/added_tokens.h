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
    bool special;     /* steers a model; a caller may want it to be ordinary text */
    bool normalized;  /* looked for in the normalized text */
    bool left, right; /* takes the white space on that side with it */
    bool whole_word;  /* only where no word character is beside it */
};
struct added_tokens {
    struct added_token *tokens; /* [n], in the order of their bytes after added_tokens_sort */
    size_t n;
    bool begins[256]; /* whether one begins with this byte */
};

enum { ADDED_TOKEN_BYTES_MAX = 256 };

void added_tokens_sort(struct added_tokens *added);

/* Where special tokens do not count. */
struct added_filter {
    bool no_special;            /* nowhere */
    const unsigned char *users; /* [size of the text] or NULL: not over bytes that are not 0 here */
};

/* A part of a text: a token, or what lies between tokens. */
struct added_part {
    size_t start, end;
    int32_t id; /* -1: text */
};

/* Goes through a text: `at` is where the last part ended. The longest token at the leftmost place counts.
 * False at the end. `state` starts as zeros. */
struct added_walk {
    size_t done;             /* parts up to here were given */
    size_t looked;           /* tokens up to here were looked for: less than `done` where one took spaces */
    struct added_part token; /* found, and given next */
    bool has_token;
};
bool added_tokens_next(const struct added_tokens *added, const struct added_filter *filter, const char *text,
                       size_t size_bytes, struct added_walk *walk, struct added_part *part);

#endif
