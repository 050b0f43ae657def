#ifndef MILLRACE_COMMON_TOKENIZER_STAGES_H
#define MILLRACE_COMMON_TOKENIZER_STAGES_H

#include <jansson.h>

#include "common/status.h"

/*
 * The stages of tokenizer.json around the BPE model. A stage is null, one step, or a Sequence of steps, which
 * may hold Sequences again. Steps that cannot change the result are accepted, all others are refused by name.
 */

/* normalizer, post_processor, decoder: none of them may change ids or bytes. */
enum status stages_check(json_t *root, struct error *error);

/* The one ByteLevel step of pre_tokenizer. *splits: GPT-2's pattern stands before it, as a Split step. */
enum status pre_tokenizer_find(json_t *root, json_t **byte_level, int *splits, struct error *error);

#endif
