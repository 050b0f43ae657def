#ifndef MILLRACE_COMMON_TOKENIZER_TOKENIZER_H
#define MILLRACE_COMMON_TOKENIZER_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

/*
 * Byte-level BPE from a Hugging Face tokenizer.json (Sennrich et al., arXiv 1508.07909; the byte
 * alphabet and the splitting pattern are GPT-2's). Bytes in, ids out, and back without loss.
 * Immutable after open: any number of threads may use one tokenizer.
 */
struct tokenizer;

/* Reads DIRECTORY/tokenizer.json. `n_ids` is the model's V: every id must be below it. Errors name file and
 * reason. */
enum status tokenizer_open(const char *directory, int n_ids, struct tokenizer **tokenizer,
                           struct error *error);
enum status tokenizer_parse(const char *json, size_t size_bytes, int n_ids, const char *where,
                            struct tokenizer **tokenizer, struct error *error);
void tokenizer_free(struct tokenizer *tokenizer); /* NULL is allowed */

/*
 * Encodes `size_bytes` of valid UTF-8 (INVALID_ARGUMENT with the offset otherwise), in time linear in the
 * size up to a logarithm. Special tokens that stand in the text ("<|endoftext|>") become their ids, as
 * tokenizer.json says. *ids is malloc'ed, the caller frees it; never NULL on STATUS_OK.
 */
enum status tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t size_bytes,
                             int32_t **ids, size_t *n_ids, struct error *error);

/* The same, but a special token in the text is ordinary text. */
enum status tokenizer_encode_ordinary(const struct tokenizer *tokenizer, const char *text, size_t size_bytes,
                                      int32_t **ids, size_t *n_ids, struct error *error);

/* Encodes any bytes: valid UTF-8 as ordinary text, and every other byte as a token of its own.
 * tokenizer_decode gives the same bytes back. */
enum status tokenizer_encode_bytes(const struct tokenizer *tokenizer, const void *bytes, size_t size_bytes,
                                   int32_t **ids, size_t *n_ids, struct error *error);

/* The bytes of one token; a piece may be part of a UTF-8 character. Empty for an id that has no bytes (a mask
 * token, or out of range). */
struct token_piece {
    const char *bytes; /* owned by the tokenizer; may hold NULs */
    size_t size_bytes;
};
struct token_piece tokenizer_piece(const struct tokenizer *tokenizer, int32_t id);

/* Concatenated pieces. *text is malloc'ed and has a NUL behind its size_bytes bytes. */
enum status tokenizer_decode(const struct tokenizer *tokenizer, const int32_t *ids, size_t n_ids, char **text,
                             size_t *size_bytes, struct error *error);

/* Number of ids with a piece; the id of "<|endoftext|>", or -1. */
int tokenizer_size(const struct tokenizer *tokenizer);
int32_t tokenizer_end_of_text(const struct tokenizer *tokenizer);

#endif
