#ifndef MILLRACE_COMMON_TOKENIZER_DECODER_H
#define MILLRACE_COMMON_TOKENIZER_DECODER_H

#include <jansson.h>
#include <stdbool.h>

#include "common/status.h"
#include "common/tokenizer/text_buffer.h"

/* How the word of an id becomes bytes of a text. What tokenizers use comes down to these. */
enum decoder_kind {
    DECODER_BYTES,  /* ByteLevel: the words are spelled in the byte alphabet */
    DECODER_SPACES, /* a character stands for a space, words "<0x0A>" may stand for bytes */
    DECODER_WORDS,  /* WordPiece: a space before each word that does not begin with the prefix */
};

/* What happens to a space with which the text would begin. */
enum decoder_start {
    START_AS_IS,
    START_STRIP, /* `n_strip` spaces go */
    START_DROP,  /* the first word loses all of its spaces */
    START_WORD,  /* the first word stands as it is in the file */
};

struct decoder {
    enum decoder_kind kind;
    enum decoder_start start;
    size_t n_strip;
    char space[16];  /* what stands for a space; "": nothing does */
    char prefix[16]; /* WordPiece */
    bool cleanup, byte_fallback;
};

/* Reads root["decoder"]. `byte_level`: a missing decoder is ByteLevel. INVALID_ARGUMENT names what is not
 * supported. */
enum status decoder_load(struct decoder *decoder, json_t *root, bool byte_level, struct error *error);

/* The byte that a word stands for, or -1. */
int decoder_byte(const struct decoder *decoder, const char *word, size_t size_bytes);

/* Appends what a word is within a text; `first`: at its beginning. Not for DECODER_BYTES, and not for a byte.
 */
void decoder_append_word(const struct decoder *decoder, const char *word, size_t size_bytes, bool first,
                         struct text_buffer *out);

#endif
