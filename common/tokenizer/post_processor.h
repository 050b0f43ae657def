#ifndef MILLRACE_COMMON_TOKENIZER_POST_PROCESSOR_H
#define MILLRACE_COMMON_TOKENIZER_POST_PROCESSOR_H

#include <jansson.h>
#include <stdint.h>

#include "common/status.h"

enum { POST_IDS_MAX = 16 };

/* The ids that stand around a text, where the caller wants them: <s> before it, or [CLS] and [SEP]. */
struct post_processor {
    int32_t before[POST_IDS_MAX], after[POST_IDS_MAX];
    size_t n_before, n_after;
};

/* Reads root["post_processor"]. Every id must be below n_ids. INVALID_ARGUMENT names what is not supported.
 */
enum status post_processor_load(struct post_processor *post, json_t *root, int n_ids, struct error *error);

#endif
