#ifndef MILLRACE_COMMON_TOKENIZER_SPLIT_H
#define MILLRACE_COMMON_TOKENIZER_SPLIT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/status.h"

/*
 * The splitting patterns that nearly all byte-level vocabularies use, matched by hand: a class of characters
 * is a look-up in a table, where PCRE2 would go through a list of ranges. They split a text into pieces,
 * across which BPE never merges: English contractions, words, numbers, other signs, and white space, each
 * with what belongs to it.
 */
struct split_rules {
    const char *source;   /* the pattern as tokenizer.json has it */
    bool any_case;        /* contractions in capitals too */
    bool any_sign_before; /* one character that is no line break, letter or number joins a word; else one
                             space */
    int digits; /* so many digits are one piece; 0: a number is one piece, with the space before it */
    bool
        line_breaks; /* signs take the line breaks behind them, and white space ends at its last line break */
};

extern const struct split_rules split_gpt2;

/* NULL: none of ours has this source. */
const struct split_rules *split_rules_find(const char *source);

/* The end of the piece that begins at text[start]; start < size_bytes. The text is valid UTF-8. */
size_t split_rules_next(const struct split_rules *rules, const char *text, size_t size_bytes, size_t start);

#endif
