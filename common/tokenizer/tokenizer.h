#ifndef MILLRACE_COMMON_TOKENIZER_TOKENIZER_H
#define MILLRACE_COMMON_TOKENIZER_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

/*
 * Tokenizers as data, read from a Hugging Face tokenizer.json: byte-level BPE (Sennrich et al., arXiv
 * 1508.07909, over GPT-2's byte alphabet), BPE over characters with byte fallback (SentencePiece, as Llama 2
 * has it), and WordPiece (BERT), with the stages around them. What is supported, and what is refused by name:
 * docs/tokenizers.md. Ids and texts are those of the `tokenizers` package.
 *
 * Immutable after open: any number of threads may use one tokenizer.
 */
struct tokenizer;

/* Reads DIRECTORY/tokenizer.json; where there is none, vocab.json with merges.txt, or vocab.txt. `n_ids` is
 * the model's V: every id must be below it. Errors name file and reason. */
enum status tokenizer_open(const char *directory, int n_ids, struct tokenizer **tokenizer,
                           struct error *error);
enum status tokenizer_parse(const char *json, size_t size_bytes, int n_ids, const char *where,
                            struct tokenizer **tokenizer, struct error *error);
void tokenizer_free(struct tokenizer *tokenizer); /* NULL is allowed */

/* How special tokens are dealt with that a text spells out ("<|endoftext|>"). All zeros: they become their
 * ids. Tokens that are added but not special ("<think>") are words of the vocabulary and always become their
 * ids. */
struct tokenizer_options {
    bool special_as_text; /* they are ordinary text */
    const unsigned char
        *users;       /* [size of the text], or NULL: a special token is ordinary text where it has a byte
                         that is not 0 here. For a text of which only some parts come from strangers */
    bool add_special; /* put what the file wants around a text: <s>, or [CLS] and [SEP] */
};

/*
 * Encodes `size_bytes` of valid UTF-8 (INVALID_ARGUMENT with the offset otherwise), in time linear in the
 * size up to a logarithm. *ids is malloc'ed, the caller frees it; never NULL on STATUS_OK.
 */
enum status tokenizer_encode_with(const struct tokenizer *tokenizer, const struct tokenizer_options *options,
                                  const char *text, size_t size_bytes, int32_t **ids, size_t *n_ids,
                                  struct error *error);

/* With options that are all zeros. */
enum status tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t size_bytes,
                             int32_t **ids, size_t *n_ids, struct error *error);

/* With special_as_text. */
enum status tokenizer_encode_ordinary(const struct tokenizer *tokenizer, const char *text, size_t size_bytes,
                                      int32_t **ids, size_t *n_ids, struct error *error);

/* Encodes any bytes: valid UTF-8 as ordinary text, and every other byte as a token of its own.
 * tokenizer_decode gives the same bytes back where the vocabulary is byte-level without a normalizer.
 * INVALID_ARGUMENT: a byte has no token. */
enum status tokenizer_encode_bytes(const struct tokenizer *tokenizer, const void *bytes, size_t size_bytes,
                                   int32_t **ids, size_t *n_ids, struct error *error);

/* The bytes of one token within a text; a piece may be part of a UTF-8 character. Empty for an id that has no
 * bytes (a mask token that is in no file, or out of range). */
struct token_piece {
    const char *bytes; /* owned by the tokenizer; may hold NULs */
    size_t size_bytes;
};
struct token_piece tokenizer_piece(const struct tokenizer *tokenizer, int32_t id);

/* A special token, as the file says. False out of range. */
bool tokenizer_is_special(const struct tokenizer *tokenizer, int32_t id);

/* The id of the token that the file spells so, or -1. */
int32_t tokenizer_find(const struct tokenizer *tokenizer, const char *word);

/* The bytes that the ids stand for: their pieces, one after the other, without a space that the tokenizer
 * puts in front of a text. *text is malloc'ed and has a NUL behind its size_bytes bytes. It need not be valid
 * UTF-8. */
enum status tokenizer_decode(const struct tokenizer *tokenizer, const int32_t *ids, size_t n_ids, char **text,
                             size_t *size_bytes, struct error *error);

/* The same as the reference's text: valid UTF-8, with U+FFFD for what is no character. `skip_special` leaves
 * out special tokens. */
enum status tokenizer_decode_text(const struct tokenizer *tokenizer, const int32_t *ids, size_t n_ids,
                                  bool skip_special, char **text, size_t *size_bytes, struct error *error);

/* tokenizer_decode_text bit by bit. */
struct tokenizer_stream;
enum status tokenizer_stream_open(const struct tokenizer *tokenizer, bool skip_special,
                                  struct tokenizer_stream **stream, struct error *error);
void tokenizer_stream_close(struct tokenizer_stream *stream); /* NULL is allowed */

/* Takes the next id. *text is what is certain now, valid UTF-8, NUL-terminated, often empty; the stream owns
 * it until the next call. INVALID_ARGUMENT: the id is out of range. */
enum status tokenizer_stream_push(struct tokenizer_stream *stream, int32_t id, const char **text,
                                  size_t *size_bytes, struct error *error);
/* What is left at the end. */
enum status tokenizer_stream_finish(struct tokenizer_stream *stream, const char **text, size_t *size_bytes,
                                    struct error *error);

/* Number of ids with a token; the id of "<|endoftext|>", or -1. */
int tokenizer_size(const struct tokenizer *tokenizer);
int32_t tokenizer_end_of_text(const struct tokenizer *tokenizer);

#endif
