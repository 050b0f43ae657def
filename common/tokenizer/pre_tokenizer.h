#ifndef MILLRACE_COMMON_TOKENIZER_PRE_TOKENIZER_H
#define MILLRACE_COMMON_TOKENIZER_PRE_TOKENIZER_H

#include <jansson.h>

#include "common/status.h"
#include "common/tokenizer/pieces.h"
#include "common/tokenizer/split.h"

/* How a text is cut into the pieces that the model sees one by one. It starts as zeros, which cut nothing. */
struct pre_tokenizer {
    struct pre_tokenizer_step *steps;
    size_t n;
    bool byte_level;  /* the model sees bytes, not characters */
    bool in_alphabet; /* steps stand behind ByteLevel */
};

/* Reads root["pre_tokenizer"]. INVALID_ARGUMENT names what is not supported. */
enum status pre_tokenizer_load(struct pre_tokenizer *pre, json_t *root, struct error *error);
void pre_tokenizer_release(struct pre_tokenizer *pre);

/* The rules that are all that happens, if that is so: then no pieces need to be made. *rules is NULL where
 * the text is not cut at all. */
bool pre_tokenizer_is_plain(const struct pre_tokenizer *pre, const struct split_rules **rules);

/* Cuts the text of `pieces` (one span, all of it). The text may change too. */
enum status pre_tokenizer_cut(const struct pre_tokenizer *pre, struct pieces *pieces, struct error *error);

#endif
