#ifndef MILLRACE_COMMON_TOKENIZER_PIECES_H
#define MILLRACE_COMMON_TOKENIZER_PIECES_H

#include <stdbool.h>
#include <stddef.h>

#include "common/tokenizer/text_buffer.h"

/* A text and where its pieces lie in it: what pre-tokenization works on. It starts as zeros. */
struct span {
    size_t start, end; /* [start, end) of the text's bytes */
};
struct pieces {
    struct text_buffer text;
    struct span *spans; /* [n], in order; none is empty */
    size_t n, capacity;
    bool at_start; /* the text stands at the very beginning of what is encoded */
};

/* An empty span is left out. False: no memory. */
bool pieces_add(struct pieces *pieces, size_t start, size_t end);
void pieces_release(struct pieces *pieces);

/* What becomes of the places where a pattern matches. */
enum split_behavior {
    SPLIT_REMOVED,
    SPLIT_ISOLATED,
    SPLIT_MERGED_WITH_PREVIOUS,
    SPLIT_MERGED_WITH_NEXT,
    SPLIT_CONTIGUOUS,
};

/* Parts of one piece, in order, each with whether the pattern matched it. It starts as zeros. */
struct match_list {
    struct match {
        struct span span;
        bool is_match;
    } * items;
    size_t n, capacity;
};
bool match_list_add(struct match_list *list, size_t start, size_t end, bool is_match);

/* Turns the parts of one piece into pieces. False: no memory. */
bool pieces_add_matches(struct pieces *pieces, const struct match_list *list, enum split_behavior behavior);

#endif
