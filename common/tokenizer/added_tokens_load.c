/* The added tokens of tokenizer.json. */
#include <stdlib.h>
#include <string.h>

#include "common/tokenizer/byte_level.h"
#include "common/tokenizer/parts.h"

static enum status read_flag(json_t *entry, size_t index, const char *key, bool fallback, bool *out,
                             struct error *error)
{
    json_t *value = json_object_get(entry, key);
    *out = value ? json_is_true(value) : fallback;
    if (!value || json_is_boolean(value))
        return STATUS_OK;
    return error_set(error, STATUS_INVALID_ARGUMENT, "added_tokens[%zu].%s: must be true or false", index,
                     key);
}

/* A token that does not say whether it is special is taken for one: then a text cannot spell it by accident.
 */
static enum status read_flags(json_t *entry, size_t index, struct added_token *token, struct error *error)
{
    enum status status = read_flag(entry, index, "special", true, &token->special, error);
    if (status == STATUS_OK)
        status = read_flag(entry, index, "normalized", false, &token->normalized, error);
    if (status == STATUS_OK)
        status = read_flag(entry, index, "lstrip", false, &token->left, error);
    if (status == STATUS_OK)
        status = read_flag(entry, index, "rstrip", false, &token->right, error);
    if (status == STATUS_OK)
        status = read_flag(entry, index, "single_word", false, &token->whole_word, error);
    return status;
}

/* A token that is a word of the vocabulary too stands for the bytes of that word, as the merges can make it
 * out of ordinary text. Its content is then spelled in the byte alphabet ("Ġ" for a space), and we look for
 * this spelling in a text. */
static bool is_spelled_word(const char *text, size_t size, bool in_vocabulary)
{
    char bytes[ADDED_TOKEN_BYTES_MAX];
    size_t n;
    return in_vocabulary && byte_level_decode(text, size, bytes, &n);
}

static enum status load_token(struct tokenizer *tokenizer, json_t *entry, size_t index, json_t *vocab,
                              struct error *error)
{
    json_t *content = json_object_get(entry, "content");
    const char *text = json_string_value(content);
    size_t size = json_string_length(content);
    int32_t id = 0;
    struct added_token token = {0};
    if (!text || size == 0 || size > ADDED_TOKEN_BYTES_MAX)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "added_tokens[%zu].content: must be a text of 1 to %d bytes", index,
                         ADDED_TOKEN_BYTES_MAX);
    enum status status =
        token_read_id(tokenizer, json_object_get(entry, "id"), "added_tokens", text, &id, error);
    if (status == STATUS_OK)
        status = read_flags(entry, index, &token, error);
    if (status != STATUS_OK)
        return status;
    json_t *in_vocabulary = json_object_get(vocab, text);
    if (in_vocabulary && json_integer_value(in_vocabulary) != id)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "added_tokens[%zu]: '%.80s' has the id %d here and %lld in model.vocab", index, text,
                         id, (long long)json_integer_value(in_vocabulary));
    if (tokenizer->words[id].bytes)
        return error_set(error, STATUS_INVALID_ARGUMENT, "added_tokens[%zu]: the id %d of '%.80s' is taken",
                         index, id, text);
    status = token_set(tokenizer, id, text, size, !is_spelled_word(text, size, in_vocabulary != NULL), error);
    token.content = tokenizer->words[id];
    token.id = id;
    tokenizer->flags[id] |= token.special ? TOKEN_SPECIAL : 0;
    tokenizer->added.tokens[tokenizer->added.n++] = token;
    if (!strcmp(text, "<|endoftext|>"))
        tokenizer->end_of_text = id;
    return status;
}

/* The normalizer changes the content too: it is looked for in a normalized text. */
static enum status normalize_content(struct tokenizer *tokenizer, struct added_token *token,
                                     struct error *error)
{
    struct text_buffer normal = {0};
    enum status status = normalizer_append(&tokenizer->normalizer, token->content.bytes,
                                           token->content.size_bytes, &normal, error);
    if (status == STATUS_OK)
        status = text_buffer_check(&normal, error);
    char *copy = status == STATUS_OK ? byte_store_take(&tokenizer->store, normal.n + 1) : NULL;
    if (status == STATUS_OK && !copy)
        status = error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for an added token");
    if (status == STATUS_OK) {
        memcpy(copy, normal.bytes, normal.n);
        token->content = (struct token_piece){copy, normal.n};
    }
    text_buffer_release(&normal);
    return status;
}

/* Moves the tokens that are looked for in the normalized text to a list of their own. */
static enum status part_normalized(struct tokenizer *tokenizer, struct error *error)
{
    struct added_tokens *raw = &tokenizer->added, *normalized = &tokenizer->added_normalized;
    size_t kept = 0;
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < raw->n; i++) {
        if (!raw->tokens[i].normalized) {
            raw->tokens[kept++] = raw->tokens[i];
            continue;
        }
        struct added_token token = raw->tokens[i];
        status = normalize_content(tokenizer, &token, error);
        if (token.content.size_bytes)
            normalized->tokens[normalized->n++] = token;
    }
    raw->n = kept;
    added_tokens_sort(raw);
    added_tokens_sort(normalized);
    return status;
}

enum status added_tokens_load(struct tokenizer *tokenizer, json_t *root, json_t *vocab, struct error *error)
{
    json_t *list = json_object_get(root, "added_tokens"), *entry;
    struct added_tokens *added = &tokenizer->added;
    size_t n = json_array_size(list), index;
    if (list && !json_is_array(list) && !json_is_null(list))
        return error_set(error, STATUS_INVALID_ARGUMENT, "added_tokens: must be a list");
    added->tokens = calloc(n + 1, sizeof *added->tokens);
    tokenizer->added_normalized.tokens = calloc(n + 1, sizeof *added->tokens);
    if (!added->tokens || !tokenizer->added_normalized.tokens)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for %zu added tokens", n);
    json_array_foreach(list, index, entry)
    {
        enum status status = load_token(tokenizer, entry, index, vocab, error);
        if (status != STATUS_OK)
            return status;
    }
    added_tokens_sort(added);
    for (size_t i = 1; i < added->n; i++) {
        struct token_piece a = added->tokens[i - 1].content, b = added->tokens[i].content;
        if (a.size_bytes == b.size_bytes && !memcmp(a.bytes, b.bytes, a.size_bytes))
            return error_set(error, STATUS_INVALID_ARGUMENT, "added_tokens: '%.*s' is there twice",
                             (int)a.size_bytes, a.bytes);
    }
    return part_normalized(tokenizer, error);
}
