#ifndef MILLRACE_COMMON_TOKENIZER_PARTS_H
#define MILLRACE_COMMON_TOKENIZER_PARTS_H

#include <jansson.h>
#include <stdbool.h>

#include "common/tokenizer/added_tokens.h"
#include "common/tokenizer/merges.h"
#include "common/tokenizer/split.h"
#include "common/tokenizer/tokenizer.h"

/* What a tokenizer is made of. Written while it is loaded, read-only afterwards. */
struct tokenizer {
    struct token_piece *pieces; /* [n_ids]; bytes are in `piece_bytes` */
    int n_ids;                  /* V of the model */
    int n_pieces;               /* ids 0 to n_pieces - 1 have a piece */
    char *piece_bytes; /* all pieces one after the other; one allocation as large as the file, which they fit
                          in */
    size_t n_piece_bytes;
    int32_t byte_ids[256]; /* the token of every single byte */
    struct merge_table merges;
    struct added_tokens added;
    pcre2_code *pattern; /* NULL: the text is not split */
    bool add_prefix_space;
    int32_t end_of_text; /* or -1 */
};

/* Refuses settings that are not supported, and takes the others. */
enum status settings_load(struct tokenizer *tokenizer, json_t *root, struct error *error);

/* Loads vocabulary, added tokens and merges from the parsed file. */
enum status vocabulary_load(struct tokenizer *tokenizer, json_t *root, struct error *error);

/* Refuses model.ignore_merges where it would change a text's ids. */
enum status whole_words_check(const struct tokenizer *tokenizer, struct error *error);

#endif
