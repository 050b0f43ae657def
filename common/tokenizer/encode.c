/* Text to ids: find added tokens, normalize and cut what is between them, encode each piece. */
#include <stdlib.h>
#include <string.h>

#include "common/tokenizer/parts.h"
#include "common/utf8.h"

/* One call's working state. */
struct encoding {
    const struct tokenizer *tokenizer;
    struct bpe_scratch scratch;
    struct id_buffer out;
};

/* A part of the text, and what is known of it. */
struct section {
    const char *text;
    size_t size;
    bool at_start;              /* it is the very beginning */
    const unsigned char *users; /* [size] or NULL, as in tokenizer_options */
};

static enum status encode_piece(struct encoding *encoding, const char *piece, size_t size_bytes,
                                struct error *error)
{
    return model_encode(encoding->tokenizer, piece, size_bytes, &encoding->scratch, &encoding->out, error);
}

static enum status encode_by_rules(struct encoding *encoding, const struct split_rules *rules,
                                   const struct section *section, struct error *error)
{
    enum status status = STATUS_OK;
    size_t end = section->size;
    for (size_t start = 0; status == STATUS_OK && start < section->size; start = end) {
        if (rules)
            end = split_rules_next(rules, section->text, section->size, start);
        status = encode_piece(encoding, section->text + start, end - start, error);
    }
    return status;
}

/* Encodes text that is normalized and has no added tokens. */
static enum status encode_plain(struct encoding *encoding, const struct section *section, struct error *error)
{
    const struct split_rules *rules;
    if (pre_tokenizer_is_plain(&encoding->tokenizer->pre_tokenizer, &rules))
        return encode_by_rules(encoding, rules, section, error);
    struct pieces pieces = {.at_start = section->at_start};
    text_buffer_append(&pieces.text, section->text, section->size);
    enum status status = text_buffer_check(&pieces.text, error);
    if (status == STATUS_OK && !pieces_add(&pieces, 0, section->size))
        status = error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory to encode a text");
    if (status == STATUS_OK)
        status = pre_tokenizer_cut(&encoding->tokenizer->pre_tokenizer, &pieces, error);
    for (size_t i = 0; status == STATUS_OK && i < pieces.n; i++)
        status = encode_piece(encoding, pieces.text.bytes + pieces.spans[i].start,
                              pieces.spans[i].end - pieces.spans[i].start, error);
    pieces_release(&pieces);
    return status;
}

static enum status append_ids(struct id_buffer *out, const int32_t *ids, size_t n, struct error *error)
{
    enum status status = id_buffer_reserve(out, n, error);
    if (status == STATUS_OK && n)
        memcpy(out->ids + out->n, ids, n * sizeof *ids);
    out->n += status == STATUS_OK ? n : 0;
    return status;
}

typedef enum status section_function(struct encoding *encoding, const struct section *section, bool special,
                                     struct error *error);

/* Hands the added tokens' ids on, and what lies between them to `function`. */
static enum status walk_added(struct encoding *encoding, const struct added_tokens *added,
                              const struct section *section, bool special, section_function *function,
                              struct error *error)
{
    const struct added_filter filter = {!special, section->users};
    struct added_walk walk = {0};
    struct added_part part;
    enum status status = STATUS_OK;
    while (status == STATUS_OK &&
           added_tokens_next(added, &filter, section->text, section->size, &walk, &part)) {
        const struct section inner = {section->text + part.start, part.end - part.start,
                                      section->at_start && part.start == 0,
                                      section->users ? section->users + part.start : NULL};
        status = part.id >= 0 ? append_ids(&encoding->out, &part.id, 1, error)
                              : function(encoding, &inner, special, error);
    }
    return status;
}

static enum status encode_between(struct encoding *encoding, const struct section *section, bool special,
                                  struct error *error)
{
    (void)special;
    return encode_plain(encoding, section, error);
}

/* In a normalized text nobody knows which bytes are a user's: it has special tokens only if none was. */
static bool is_all_trusted(const struct section *section)
{
    for (size_t i = 0; section->users && i < section->size; i++) {
        if (section->users[i])
            return false;
    }
    return true;
}

static enum status encode_normalized(struct encoding *encoding, const struct section *section, bool special,
                                     struct error *error)
{
    const struct tokenizer *tokenizer = encoding->tokenizer;
    if (tokenizer->normalizer.n == 0)
        return walk_added(encoding, &tokenizer->added_normalized, section, special, encode_between, error);
    struct text_buffer normal = {0};
    enum status status =
        normalizer_append(&tokenizer->normalizer, section->text, section->size, &normal, error);
    if (status == STATUS_OK)
        status = text_buffer_check(&normal, error);
    if (status == STATUS_OK && normal.n >= INT32_MAX)
        status = error_set(error, STATUS_INVALID_ARGUMENT,
                           "the normalized text has %zu bytes; at most %d can be encoded", normal.n,
                           INT32_MAX - 1);
    if (status == STATUS_OK) {
        const struct section inner = {normal.bytes, normal.n, section->at_start, NULL};
        status = walk_added(encoding, &tokenizer->added_normalized, &inner,
                            special && is_all_trusted(section), encode_between, error);
    }
    text_buffer_release(&normal);
    return status;
}

static enum status encode_text(struct encoding *encoding, const struct tokenizer_options *options,
                               const char *text, size_t size_bytes, struct error *error)
{
    const struct tokenizer *tokenizer = encoding->tokenizer;
    const struct post_processor *post = &tokenizer->post_processor;
    const struct section whole = {text, size_bytes, true, options->users};
    enum status status = STATUS_OK;
    if (options->add_special)
        status = append_ids(&encoding->out, post->before, post->n_before, error);
    if (status == STATUS_OK)
        status = walk_added(encoding, &tokenizer->added, &whole, !options->special_as_text, encode_normalized,
                            error);
    if (status == STATUS_OK && options->add_special)
        status = append_ids(&encoding->out, post->after, post->n_after, error);
    return status;
}

/* Encodes valid UTF-8 as ordinary text, and every other byte as a token of its own. */
static enum status encode_any_bytes(struct encoding *encoding, const struct tokenizer_options *options,
                                    const char *bytes, size_t size_bytes, struct error *error)
{
    enum status status = STATUS_OK;
    for (size_t at = 0; status == STATUS_OK && at < size_bytes;) {
        size_t valid = utf8_valid_size(bytes + at, size_bytes - at);
        status = encode_text(encoding, options, bytes + at, valid, error);
        at += valid;
        if (status != STATUS_OK || at == size_bytes)
            break;
        int32_t id = encoding->tokenizer->byte_ids[(unsigned char)bytes[at++]];
        status =
            id >= 0
                ? append_ids(&encoding->out, &id, 1, error)
                : error_set(error, STATUS_INVALID_ARGUMENT,
                            "the byte at offset %zu is no part of a character, and this vocabulary has no "
                            "token for it",
                            at - 1);
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

typedef enum status encode_function(struct encoding *encoding, const struct tokenizer_options *options,
                                    const char *text, size_t size_bytes, struct error *error);

static enum status encode(const struct tokenizer *tokenizer, const struct tokenizer_options *options,
                          encode_function *function, const char *text, size_t size_bytes, int32_t **ids,
                          size_t *n_ids, struct error *error)
{
    enum status status = check_size(size_bytes, error);
    if (status == STATUS_OK && function != encode_any_bytes)
        status = check_text(text, size_bytes, error);
    if (status != STATUS_OK)
        return status;
    struct encoding encoding = {.tokenizer = tokenizer};
    status = id_buffer_reserve(&encoding.out, size_bytes / 4 + 16, error);
    if (status == STATUS_OK)
        status = function(&encoding, options, text, size_bytes, error);
    bpe_scratch_release(&encoding.scratch);
    if (status != STATUS_OK) {
        free(encoding.out.ids);
        return status;
    }
    *ids = encoding.out.ids;
    *n_ids = encoding.out.n;
    return STATUS_OK;
}

enum status tokenizer_encode_with(const struct tokenizer *tokenizer, const struct tokenizer_options *options,
                                  const char *text, size_t size_bytes, int32_t **ids, size_t *n_ids,
                                  struct error *error)
{
    return encode(tokenizer, options, encode_text, text, size_bytes, ids, n_ids, error);
}

enum status tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t size_bytes,
                             int32_t **ids, size_t *n_ids, struct error *error)
{
    const struct tokenizer_options options = {0};
    return encode(tokenizer, &options, encode_text, text, size_bytes, ids, n_ids, error);
}

enum status tokenizer_encode_ordinary(const struct tokenizer *tokenizer, const char *text, size_t size_bytes,
                                      int32_t **ids, size_t *n_ids, struct error *error)
{
    const struct tokenizer_options options = {.special_as_text = true};
    return encode(tokenizer, &options, encode_text, text, size_bytes, ids, n_ids, error);
}

enum status tokenizer_encode_bytes(const struct tokenizer *tokenizer, const void *bytes, size_t size_bytes,
                                   int32_t **ids, size_t *n_ids, struct error *error)
{
    const struct tokenizer_options options = {.special_as_text = true};
    return encode(tokenizer, &options, encode_any_bytes, bytes, size_bytes, ids, n_ids, error);
}
