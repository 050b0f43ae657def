#ifndef MILLRACE_COMMON_TOKENIZER_SPLIT_H
#define MILLRACE_COMMON_TOKENIZER_SPLIT_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stddef.h>

#include "common/status.h"

/*
 * GPT-2's pre-tokenizer. It splits a text into pieces, across which BPE never merges: English contractions,
 * words, numbers, other signs, and white space. A space belongs to the word, number or signs behind it.
 */

/* The pattern as the reference library writes it, for comparing. */
extern const char split_gpt2_source[];

/* Compiles the pattern. Threads may share it; pcre2_code_free frees it. */
enum status split_compile(pcre2_code **pattern, struct error *error);

/* The end of the piece that begins at text[start]; start < size_bytes. The text is valid UTF-8. */
enum status split_next(const pcre2_code *pattern, pcre2_match_data *match, const char *text,
                       size_t size_bytes, size_t start, size_t *end, struct error *error);

#endif
