/* The word and the piece of one id. */
#include <string.h>

#include "common/tokenizer/byte_level.h"
#include "common/tokenizer/parts.h"

static enum status no_memory(struct error *error)
{
    return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a vocabulary");
}

enum status token_read_id(const struct tokenizer *tokenizer, json_t *value, const char *what,
                          const char *word, int32_t *id, struct error *error)
{
    if (!json_is_integer(value))
        return error_set(error, STATUS_INVALID_ARGUMENT, "%s: '%.80s' has no whole number as its id", what,
                         word);
    json_int_t given = json_integer_value(value);
    if (given < 0 || given >= tokenizer->n_ids)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "%s: '%.80s' has the id %lld; the model's vocabulary allows 0 to %d", what, word,
                         (long long)given, tokenizer->n_ids - 1);
    *id = (int32_t)given;
    return STATUS_OK;
}

/* What a word is within a text, when it is not spelled in the byte alphabet. */
static enum status set_piece(struct tokenizer *tokenizer, int32_t id, struct token_piece word,
                             struct error *error)
{
    struct text_buffer piece = {0};
    int byte = decoder_byte(&tokenizer->decoder, word.bytes, word.size_bytes);
    char single = (char)byte;
    if (byte >= 0)
        text_buffer_append(&piece, &single, 1);
    else
        decoder_append_word(&tokenizer->decoder, word.bytes, word.size_bytes, false, &piece);
    char *copy = piece.failed ? NULL : byte_store_take(&tokenizer->store, piece.n + 1);
    if (copy && piece.n)
        memcpy(copy, piece.bytes, piece.n);
    tokenizer->pieces[id] = (struct token_piece){copy, piece.n};
    tokenizer->flags[id] |= byte >= 0 ? TOKEN_BYTE : 0;
    text_buffer_release(&piece);
    return copy ? STATUS_OK : no_memory(error);
}

enum status token_set(struct tokenizer *tokenizer, int32_t id, const char *text, size_t size_bytes,
                      bool literal, struct error *error)
{
    char *word = byte_store_take(&tokenizer->store, size_bytes + 1);
    if (!word)
        return no_memory(error);
    memcpy(word, text, size_bytes);
    word[size_bytes] = '\0';
    tokenizer->words[id] = (struct token_piece){word, size_bytes};
    tokenizer->n_tokens++;
    if (tokenizer->decoder.kind != DECODER_BYTES)
        return set_piece(tokenizer, id, tokenizer->words[id], error);
    tokenizer->pieces[id] = tokenizer->words[id];
    if (literal)
        return STATUS_OK;
    char *bytes = byte_store_take(&tokenizer->store, size_bytes + 1);
    size_t n_bytes = 0;
    if (!bytes)
        return no_memory(error);
    if (size_bytes == 0 || !byte_level_decode(text, size_bytes, bytes, &n_bytes))
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "model.vocab: '%.80s' (id %d) is not written in the byte alphabet", text, id);
    tokenizer->pieces[id] = (struct token_piece){bytes, n_bytes};
    return STATUS_OK;
}
