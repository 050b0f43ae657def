/* A piece of text → ids. */
#include <stdlib.h>
#include <string.h>

#include "common/tokenizer/parts.h"
#include "common/utf8.h"

static enum status append_id(struct id_buffer *out, int32_t id, struct error *error)
{
    enum status status = id_buffer_reserve(out, 1, error);
    if (status == STATUS_OK)
        out->ids[out->n++] = id;
    return status;
}

/* ---- WordPiece ---- */

static size_t count_characters(const char *text, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < size; i++)
        n += ((unsigned char)text[i] & 0xC0) != 0x80;
    return n;
}

/* The longest word with which text[start] begins; *end: where it ends. A word that goes on has a prefix. */
static int32_t longest_word(const struct tokenizer *tokenizer, const char *text, size_t size, size_t start,
                            size_t *end)
{
    char word[4096];
    size_t prefix = start ? tokenizer->continuing.size_bytes : 0;
    size_t most = tokenizer->longest_word > prefix ? tokenizer->longest_word - prefix : 0;
    size_t n = size - start < most ? size - start : most;
    if (n > sizeof word - 16)
        n = sizeof word - 16;
    while (start + n < size && n > 0 && ((unsigned char)text[start + n] & 0xC0) == 0x80)
        n--;
    memcpy(word, tokenizer->continuing.bytes, prefix);
    memcpy(word + prefix, text + start, n);
    while (n > 0) {
        int32_t id = word_table_find(&tokenizer->table, word, prefix + n);
        if (id != WORD_NONE) {
            *end = start + n;
            return id;
        }
        do {
            n--;
        } while (n > 0 && ((unsigned char)word[prefix + n] & 0xC0) == 0x80);
    }
    return WORD_NONE;
}

/* A word of which a part is not there is unknown as a whole. */
static enum status encode_word(const struct tokenizer *tokenizer, const char *piece, size_t size,
                               struct id_buffer *out, struct error *error)
{
    size_t before = out->n, end = 0;
    bool known = count_characters(piece, size) <= tokenizer->word_characters_max;
    enum status status = STATUS_OK;
    for (size_t start = 0; known && status == STATUS_OK && start < size; start = end) {
        int32_t id = longest_word(tokenizer, piece, size, start, &end);
        known = id != WORD_NONE;
        if (known)
            status = append_id(out, id, error);
    }
    if (known || status != STATUS_OK)
        return status;
    out->n = before;
    return append_id(out, tokenizer->unknown, error);
}

/* ---- BPE over characters ---- */

static bool has_all_bytes(const struct tokenizer *tokenizer, const char *character, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (tokenizer->byte_ids[(unsigned char)character[i]] < 0)
            return false;
    }
    return tokenizer->byte_fallback;
}

/* The first symbols of a piece. An unknown token waits until a known character follows, so that those in a
 * row can become one; bytes do not end the wait, as in the reference. */
static enum status first_symbols(const struct tokenizer *tokenizer, const char *piece, size_t size,
                                 struct id_buffer *symbols, struct error *error)
{
    bool waits = false;
    enum status status = id_buffer_reserve(symbols, size + 1, error);
    for (size_t at = 0, n; status == STATUS_OK && at < size; at += n) {
        uint32_t character = 0;
        int read = utf8_read(piece + at, size - at, &character);
        n = (size_t)(read ? read : 1);
        int32_t id = word_table_find(&tokenizer->table, piece + at, n);
        if (id != WORD_NONE) {
            if (waits)
                symbols->ids[symbols->n++] = tokenizer->unknown;
            waits = false;
            symbols->ids[symbols->n++] = id;
        } else if (has_all_bytes(tokenizer, piece + at, n)) {
            for (size_t i = 0; i < n; i++)
                symbols->ids[symbols->n++] = tokenizer->byte_ids[(unsigned char)piece[at + i]];
        } else if (tokenizer->unknown >= 0) {
            if (waits && !tokenizer->fuse_unknown)
                symbols->ids[symbols->n++] = tokenizer->unknown;
            waits = true;
        }
    }
    if (status == STATUS_OK && waits)
        symbols->ids[symbols->n++] = tokenizer->unknown;
    return status;
}

static enum status encode_characters(const struct tokenizer *tokenizer, const char *piece, size_t size,
                                     struct bpe_scratch *scratch, struct id_buffer *out, struct error *error)
{
    struct id_buffer symbols = {0};
    enum status status = first_symbols(tokenizer, piece, size, &symbols, error);
    if (status == STATUS_OK)
        status = bpe_merge(&tokenizer->merges, symbols.ids, symbols.n, scratch, out, error);
    free(symbols.ids);
    return status;
}

enum status model_encode(const struct tokenizer *tokenizer, const char *piece, size_t size_bytes,
                         struct bpe_scratch *scratch, struct id_buffer *out, struct error *error)
{
    if (tokenizer->model == MODEL_WORD_PIECE)
        return encode_word(tokenizer, piece, size_bytes, out, error);
    if (tokenizer->ignore_merges) {
        int32_t id = word_table_find(&tokenizer->table, piece, size_bytes);
        if (id != WORD_NONE)
            return append_id(out, id, error);
    }
    if (tokenizer->model == MODEL_CHARACTERS)
        return encode_characters(tokenizer, piece, size_bytes, scratch, out, error);
    return bpe_encode(&tokenizer->merges, tokenizer->byte_ids, piece, size_bytes, scratch, out, error);
}
