#ifndef MILLRACE_COMMON_TOKENIZER_UNICODE_H
#define MILLRACE_COMMON_TOKENIZER_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Properties of characters, as of Unicode 16, which is what the reference library splits texts by. A class
 * decides where a text is split, and so which ids the model sees. The installed utf8proc and PCRE2 may be
 * older: a table adds what was assigned after Unicode 14. A character that utf8proc knows keeps what utf8proc
 * says.
 */

/* The general category in two letters ("Lu"), "Cn" for a character that is not assigned. */
const char *unicode_category(uint32_t character);

/* What a splitting pattern tells apart: \\s, \\p{L}, \\p{N}, and the rest. */
enum unicode_class { UNICODE_OTHER, UNICODE_LETTER, UNICODE_NUMBER, UNICODE_SPACE };
enum unicode_class unicode_class(uint32_t character);

/* The property White_Space. */
bool unicode_is_space(uint32_t character);

/* \\w of Rust's regular expressions: letters, marks, decimal digits, connectors, joiners. */
bool unicode_is_word(uint32_t character);

/* The small letter of a capital, the capital of a small letter, or the character itself. */
uint32_t unicode_lower(uint32_t character);
uint32_t unicode_upper(uint32_t character);

/* The characters assigned after Unicode 14, in order; NULL behind the last. */
struct unicode_range {
    uint32_t first, last;
    const char *category;
};
const struct unicode_range *unicode_later(size_t index);

#endif
