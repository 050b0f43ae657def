#ifndef MILLRACE_COMMON_TOKENIZER_NORMALIZER_STEP_H
#define MILLRACE_COMMON_TOKENIZER_NORMALIZER_STEP_H

#include "common/tokenizer/normal_form.h"
#include "common/tokenizer/regex.h"

enum normalizer_kind {
    NORMALIZER_FORM,
    NORMALIZER_LOWERCASE,
    NORMALIZER_STRIP,
    NORMALIZER_STRIP_ACCENTS,
    NORMALIZER_PREPEND,
    NORMALIZER_REPLACE,
    NORMALIZER_BERT,
};

struct normalizer_step {
    enum normalizer_kind kind;
    struct normal_form form;
    bool left, right; /* strip */
    char *content;    /* what is put in */
    size_t content_bytes;
    char *literal; /* what is replaced, or NULL and then `regex` */
    struct regex *regex;
    bool clean, chinese, accents, lowercase; /* BERT; accents: they are taken off */
};

/* Appends what one step makes of a text. */
enum status normalizer_step_append(const struct normalizer_step *step, const char *text, size_t size_bytes,
                                   struct text_buffer *out, struct error *error);

#endif
