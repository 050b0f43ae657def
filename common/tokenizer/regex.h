#ifndef MILLRACE_COMMON_TOKENIZER_REGEX_H
#define MILLRACE_COMMON_TOKENIZER_REGEX_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stddef.h>

#include "common/status.h"
#include "common/tokenizer/text_buffer.h"

/*
 * Regular expressions of tokenizer.json. They are written for Oniguruma in its Ruby syntax; PCRE2 runs them.
 * Where the two read a construct differently it is rewritten (regex_translate) or refused by name. Classes of
 * characters are those of Unicode 16 (unicode.h).
 *
 * A file may be hostile: a pattern has at most REGEX_BYTES_MAX bytes, and a search that takes too many steps
 * ends with an error.
 */
struct regex; /* threads may share it */

enum { REGEX_BYTES_MAX = 4096 };

/* INVALID_ARGUMENT: the pattern is wrong or has what is not supported; the sentence quotes it. */
enum status regex_open(const char *pattern, size_t size_bytes, struct regex **regex, struct error *error);
void regex_free(struct regex *regex); /* NULL is allowed */

/* Room for one thread's searches; pcre2_match_data_free frees it. */
pcre2_match_data *regex_room(void);

/* The first match at or after `start`. *found: whether there is one, and then where. The text is valid UTF-8.
 * INVALID_ARGUMENT: the search took too many steps. */
enum status regex_find(const struct regex *regex, pcre2_match_data *room, const char *text, size_t size_bytes,
                       size_t start, bool *found, size_t *match_start, size_t *match_end,
                       struct error *error);

/* The pattern as PCRE2 gets it. */
enum status regex_translate(const char *pattern, size_t size_bytes, struct text_buffer *out,
                            struct error *error);

#endif
