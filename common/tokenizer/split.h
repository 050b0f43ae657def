#ifndef MILLRACE_COMMON_TOKENIZER_SPLIT_H
#define MILLRACE_COMMON_TOKENIZER_SPLIT_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stddef.h>

#include "common/status.h"

/*
 * GPT-2's pre-tokenizer: text falls into pieces (an English contraction, a word, a number, other signs, white
 * space; a space goes with what follows it), and BPE never merges across them.
 */

/* The pattern as the reference library writes it, for comparing. */
extern const char split_gpt2_source[];

/* Compiled once, shared by threads, freed with pcre2_code_free. */
enum status split_compile(pcre2_code **pattern, struct error *error);

/* The end of the piece that begins at text[start]; start < size_bytes. The text is valid UTF-8. */
enum status split_next(const pcre2_code *pattern, pcre2_match_data *match, const char *text,
                       size_t size_bytes, size_t start, size_t *end, struct error *error);

#endif
