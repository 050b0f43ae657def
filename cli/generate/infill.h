#ifndef MILLRACE_CLI_GENERATE_INFILL_H
#define MILLRACE_CLI_GENERATE_INFILL_H

#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

/*
 * A text with gaps, as it is typed:
 *     "The ___ sat on ___12___ and purred."
 * Exactly three underscores are a gap; digits between two such runs give its size in tokens (___12___ is one
 * gap of 12). A gap without a size has `default_gap` tokens, and with 0 the server gives all of them an equal
 * share of the length. Fewer or more underscores in a row are text.
 */
enum { GAP_TOKENS_MAX = 65536 };

struct infill_part {
    char *text;   /* pinned, or NULL: a gap */
    uint32_t gap; /* tokens; 0: an equal share */
};
struct infill {
    struct infill_part *parts;
    size_t n_parts;
    size_t n_gaps;
};

/* INVALID_ARGUMENT for a text without a gap, or a size that is not 1 to GAP_TOKENS_MAX. */
enum status infill_parse(const char *text, uint32_t default_gap, struct infill *infill, struct error *error);
void infill_release(struct infill *infill);

#endif
