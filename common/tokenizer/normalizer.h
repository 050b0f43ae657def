#ifndef MILLRACE_COMMON_TOKENIZER_NORMALIZER_H
#define MILLRACE_COMMON_TOKENIZER_NORMALIZER_H

#include <jansson.h>

#include "common/status.h"
#include "common/tokenizer/text_buffer.h"

/*
 * What happens to a text before it is split: normal forms, lower case, accents off, Prepend, Replace, Strip,
 * and BERT's cleaning. It starts as zeros, which change nothing.
 */
struct normalizer {
    struct normalizer_step *steps;
    size_t n;
};

/* Reads root["normalizer"]. INVALID_ARGUMENT names what is not supported. */
enum status normalizer_load(struct normalizer *normalizer, json_t *root, struct error *error);
void normalizer_release(struct normalizer *normalizer);

/* Appends the normalized text. The text is valid UTF-8, and so is the result. */
enum status normalizer_append(const struct normalizer *normalizer, const char *text, size_t size_bytes,
                              struct text_buffer *out, struct error *error);

#endif
