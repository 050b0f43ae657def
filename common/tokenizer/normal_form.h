#ifndef MILLRACE_COMMON_TOKENIZER_NORMAL_FORM_H
#define MILLRACE_COMMON_TOKENIZER_NORMAL_FORM_H

#include <stdbool.h>
#include <stddef.h>

#include "common/status.h"
#include "common/tokenizer/text_buffer.h"

/*
 * Unicode's normal forms (UAX 15), with utf8proc's tables. utf8proc's own function sorts a run of combining
 * marks in quadratic time, which a hostile text would use; this one takes n log n.
 */
struct normal_form {
    bool compatibility; /* NFKC, NFKD */
    bool compose;       /* NFC, NFKC */
};

/* Appends the normal form of valid UTF-8. */
enum status normal_form_append(struct normal_form form, const char *text, size_t size_bytes,
                               struct text_buffer *out, struct error *error);

#endif
