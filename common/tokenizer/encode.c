/* Text to ids: find added tokens, split what is between them, merge each piece. */
#include <stdlib.h>
#include <string.h>

#include "common/tokenizer/bpe.h"
#include "common/tokenizer/parts.h"
#include "common/utf8.h"

/* One call's working state. */
struct encoding {
    const struct tokenizer *tokenizer;
    pcre2_match_data *match;
    struct bpe_scratch scratch;
    struct id_buffer out;
};

static enum status encode_piece(struct encoding *encoding, const char *piece, size_t size_bytes,
                                struct error *error)
{
    const struct tokenizer *tokenizer = encoding->tokenizer;
    return bpe_encode(&tokenizer->merges, tokenizer->byte_ids, piece, size_bytes, &encoding->scratch,
                      &encoding->out, error);
}

static enum status encode_split(struct encoding *encoding, const char *text, size_t size_bytes,
                                struct error *error)
{
    const pcre2_code *pattern = encoding->tokenizer->pattern;
    enum status status = STATUS_OK;
    size_t end = size_bytes;
    for (size_t start = 0; status == STATUS_OK && start < size_bytes; start = end) {
        if (pattern)
            status = split_next(pattern, encoding->match, text, size_bytes, start, &end, error);
        if (status == STATUS_OK)
            status = encode_piece(encoding, text + start, end - start, error);
    }
    return status;
}

/* Encodes the text between added tokens. Some vocabularies want it to begin with a space. */
static enum status encode_section(struct encoding *encoding, const char *text, size_t size_bytes,
                                  struct error *error)
{
    if (size_bytes == 0 || text[0] == ' ' || !encoding->tokenizer->add_prefix_space)
        return encode_split(encoding, text, size_bytes, error);
    char *spaced = malloc(size_bytes + 1);
    if (!spaced)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a text of %zu bytes", size_bytes);
    spaced[0] = ' ';
    memcpy(spaced + 1, text, size_bytes);
    enum status status = encode_split(encoding, spaced, size_bytes + 1, error);
    free(spaced);
    return status;
}

static enum status append_id(struct id_buffer *out, int32_t id, struct error *error)
{
    enum status status = id_buffer_reserve(out, 1, error);
    if (status == STATUS_OK)
        out->ids[out->n++] = id;
    return status;
}

static enum status encode_with_added(struct encoding *encoding, const char *text, size_t size_bytes,
                                     struct error *error)
{
    enum status status = STATUS_OK;
    size_t section = 0, at = 0;
    while (status == STATUS_OK && at < size_bytes) {
        const struct added_token *token =
            added_tokens_match(&encoding->tokenizer->added, text + at, size_bytes - at);
        if (!token) {
            at++;
            continue;
        }
        status = encode_section(encoding, text + section, at - section, error);
        if (status == STATUS_OK)
            status = append_id(&encoding->out, token->id, error);
        at += token->content.size_bytes;
        section = at;
    }
    if (status == STATUS_OK)
        status = encode_section(encoding, text + section, size_bytes - section, error);
    return status;
}

/* Encodes valid UTF-8 as ordinary text, and every other byte as a piece of its own. */
static enum status encode_any_bytes(struct encoding *encoding, const char *bytes, size_t size_bytes,
                                    struct error *error)
{
    enum status status = STATUS_OK;
    for (size_t at = 0; status == STATUS_OK && at < size_bytes;) {
        size_t valid = utf8_valid_size(bytes + at, size_bytes - at);
        status = encode_split(encoding, bytes + at, valid, error);
        at += valid;
        if (status == STATUS_OK && at < size_bytes)
            status = encode_piece(encoding, bytes + at++, 1, error);
    }
    return status;
}

static enum status check_size(size_t size_bytes, struct error *error)
{
    if (size_bytes < INT32_MAX)
        return STATUS_OK;
    return error_set(error, STATUS_INVALID_ARGUMENT, "the text has %zu bytes; at most %d can be encoded",
                     size_bytes, INT32_MAX - 1);
}

static enum status check_text(const char *text, size_t size_bytes, struct error *error)
{
    size_t valid = utf8_valid_size(text, size_bytes);
    if (valid < size_bytes)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "the text is not valid UTF-8: byte 0x%02X at offset %zu", (unsigned char)text[valid],
                         valid);
    return STATUS_OK;
}

typedef enum status encode_function(struct encoding *encoding, const char *text, size_t size_bytes,
                                    struct error *error);

static enum status encode(const struct tokenizer *tokenizer, encode_function *function, const char *text,
                          size_t size_bytes, int32_t **ids, size_t *n_ids, struct error *error)
{
    enum status status = check_size(size_bytes, error);
    if (status == STATUS_OK && function != encode_any_bytes)
        status = check_text(text, size_bytes, error);
    if (status != STATUS_OK)
        return status;
    struct encoding encoding = {.tokenizer = tokenizer, .match = pcre2_match_data_create(1, NULL)};
    status = id_buffer_reserve(&encoding.out, size_bytes / 4 + 16, error);
    if (status == STATUS_OK && !encoding.match)
        status = error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory to encode a text");
    if (status == STATUS_OK)
        status = function(&encoding, text, size_bytes, error);
    pcre2_match_data_free(encoding.match);
    bpe_scratch_release(&encoding.scratch);
    if (status != STATUS_OK) {
        free(encoding.out.ids);
        return status;
    }
    *ids = encoding.out.ids;
    *n_ids = encoding.out.n;
    return STATUS_OK;
}

enum status tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t size_bytes,
                             int32_t **ids, size_t *n_ids, struct error *error)
{
    return encode(tokenizer, encode_with_added, text, size_bytes, ids, n_ids, error);
}

enum status tokenizer_encode_ordinary(const struct tokenizer *tokenizer, const char *text, size_t size_bytes,
                                      int32_t **ids, size_t *n_ids, struct error *error)
{
    return encode(tokenizer, encode_section, text, size_bytes, ids, n_ids, error);
}

enum status tokenizer_encode_bytes(const struct tokenizer *tokenizer, const void *bytes, size_t size_bytes,
                                   int32_t **ids, size_t *n_ids, struct error *error)
{
    return encode(tokenizer, encode_any_bytes, bytes, size_bytes, ids, n_ids, error);
}
