/* Vocabulary, added tokens and merges of tokenizer.json. While loading, the file's own object is the table
 * from word to id. */
#include <stdlib.h>
#include <string.h>

#include "common/tokenizer/byte_level.h"
#include "common/tokenizer/parts.h"

static bool has_piece(const struct tokenizer *tokenizer, int32_t id)
{
    return tokenizer->pieces[id].bytes != NULL;
}

/* Takes the next `size_bytes` of the piece store, already written, as the piece of an id. */
static void commit_piece(struct tokenizer *tokenizer, int32_t id, size_t size_bytes)
{
    tokenizer->pieces[id] =
        (struct token_piece){tokenizer->piece_bytes + tokenizer->n_piece_bytes, size_bytes};
    tokenizer->n_piece_bytes += size_bytes;
    tokenizer->n_pieces++;
}

static enum status check_id(const struct tokenizer *tokenizer, json_t *value, const char *what,
                            const char *word, struct error *error)
{
    if (!json_is_integer(value))
        return error_set(error, STATUS_INVALID_ARGUMENT, "%s: '%.80s' has no whole number as its id", what,
                         word);
    json_int_t id = json_integer_value(value);
    if (id < 0 || id >= tokenizer->n_ids)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "%s: '%.80s' has the id %lld; the model's vocabulary allows 0 to %d", what, word,
                         (long long)id, tokenizer->n_ids - 1);
    return STATUS_OK;
}

/* Stripping and whole-word matching around an added token change the text; neither is supported. */
static enum status check_added_flags(json_t *entry, size_t index, struct error *error)
{
    static const char *const flags[] = {"lstrip", "rstrip", "single_word"};
    for (int i = 0; i < 3; i++) {
        if (json_is_true(json_object_get(entry, flags[i])))
            return error_set(error, STATUS_INVALID_ARGUMENT, "added_tokens[%zu].%s: true is not supported",
                             index, flags[i]);
    }
    return STATUS_OK;
}

/*
 * A token that is a word of the vocabulary too stands for the bytes of that word: the merges can make it out
 * of ordinary text. Its content is then spelled in the byte alphabet ("Ġ" for a space), and we look for this
 * spelling in a text. Both fit the store: the content is in the file's added_tokens, the word in its vocab.
 */
static void commit_added_token(struct tokenizer *tokenizer, int32_t id, const char *text, size_t size,
                               bool is_word)
{
    char *content = tokenizer->piece_bytes + tokenizer->n_piece_bytes, *bytes = content + size;
    size_t n_bytes = 0;
    memcpy(content, text, size);
    if (is_word && byte_level_decode(text, size, bytes, &n_bytes)) {
        tokenizer->n_piece_bytes += size;
        commit_piece(tokenizer, id, n_bytes);
    } else {
        commit_piece(tokenizer, id, size);
    }
    tokenizer->added.tokens[tokenizer->added.n++] = (struct added_token){{content, size}, id};
}

static enum status load_added_token(struct tokenizer *tokenizer, json_t *entry, size_t index, json_t *vocab,
                                    struct error *error)
{
    json_t *content = json_object_get(entry, "content"), *id_value = json_object_get(entry, "id");
    const char *text = json_string_value(content);
    size_t size = json_string_length(content);
    if (!text || size == 0 || size > ADDED_TOKEN_BYTES_MAX)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "added_tokens[%zu].content: must be a text of 1 to %d bytes", index,
                         ADDED_TOKEN_BYTES_MAX);
    enum status status = check_id(tokenizer, id_value, "added_tokens", text, error);
    if (status == STATUS_OK)
        status = check_added_flags(entry, index, error);
    if (status != STATUS_OK)
        return status;
    int32_t id = (int32_t)json_integer_value(id_value);
    json_t *in_vocabulary = json_object_get(vocab, text);
    if (in_vocabulary && json_integer_value(in_vocabulary) != id)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "added_tokens[%zu]: '%.80s' has the id %d here and %lld in model.vocab", index, text,
                         id, (long long)json_integer_value(in_vocabulary));
    if (has_piece(tokenizer, id))
        return error_set(error, STATUS_INVALID_ARGUMENT, "added_tokens[%zu]: the id %d of '%.80s' is taken",
                         index, id, text);
    commit_added_token(tokenizer, id, text, size, in_vocabulary != NULL);
    if (!strcmp(text, "<|endoftext|>"))
        tokenizer->end_of_text = id;
    return STATUS_OK;
}

static enum status load_added_tokens(struct tokenizer *tokenizer, json_t *root, json_t *vocab,
                                     struct error *error)
{
    json_t *list = json_object_get(root, "added_tokens"), *entry;
    size_t n = json_array_size(list), index;
    if (list && !json_is_array(list) && !json_is_null(list))
        return error_set(error, STATUS_INVALID_ARGUMENT, "added_tokens: must be a list");
    tokenizer->added.tokens = calloc(n + 1, sizeof *tokenizer->added.tokens);
    if (!tokenizer->added.tokens)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for %zu added tokens", n);
    json_array_foreach(list, index, entry)
    {
        enum status status = load_added_token(tokenizer, entry, index, vocab, error);
        if (status != STATUS_OK)
            return status;
    }
    added_tokens_sort(&tokenizer->added);
    for (size_t i = 1; i < tokenizer->added.n; i++) {
        struct token_piece a = tokenizer->added.tokens[i - 1].content, b = tokenizer->added.tokens[i].content;
        if (a.size_bytes == b.size_bytes && !memcmp(a.bytes, b.bytes, a.size_bytes))
            return error_set(error, STATUS_INVALID_ARGUMENT, "added_tokens: '%.*s' is there twice",
                             (int)(a.size_bytes < 80 ? a.size_bytes : 80), a.bytes);
    }
    return STATUS_OK;
}

static bool is_added_token(const struct tokenizer *tokenizer, const char *word, size_t size)
{
    const struct added_token *token = added_tokens_match(&tokenizer->added, word, size);
    return token && token->content.size_bytes == size;
}

static void note_single_byte(struct tokenizer *tokenizer, int32_t id)
{
    struct token_piece piece = tokenizer->pieces[id];
    if (piece.size_bytes == 1)
        tokenizer->byte_ids[(unsigned char)piece.bytes[0]] = id;
}

static enum status load_word(struct tokenizer *tokenizer, const char *word, json_t *id_value,
                             struct error *error)
{
    enum status status = check_id(tokenizer, id_value, "model.vocab", word, error);
    if (status != STATUS_OK)
        return status;
    int32_t id = (int32_t)json_integer_value(id_value);
    size_t size = strlen(word), n_bytes = 0;
    if (is_added_token(tokenizer, word, size)) { /* load_added_token has compared the ids */
        note_single_byte(tokenizer, id);
        return STATUS_OK;
    }
    if (has_piece(tokenizer, id))
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "model.vocab: the id %d of '%.80s' is another token's too", id, word);
    char *bytes = tokenizer->piece_bytes + tokenizer->n_piece_bytes;
    if (size == 0 || !byte_level_decode(word, size, bytes, &n_bytes))
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "model.vocab: '%.80s' (id %d) is not written in the byte alphabet", word, id);
    commit_piece(tokenizer, id, n_bytes);
    note_single_byte(tokenizer, id);
    return STATUS_OK;
}

/* Checks that ids are 0 to n - 1 without a hole and that every byte is a token, so that any text can be
 * encoded. */
static enum status check_complete(const struct tokenizer *tokenizer, struct error *error)
{
    for (int32_t id = 0; id < tokenizer->n_pieces; id++) {
        if (!has_piece(tokenizer, id))
            return error_set(
                error, STATUS_INVALID_ARGUMENT,
                "model.vocab: no token has the id %d; the ids of %d tokens must be 0 to %d without a hole",
                id, tokenizer->n_pieces, tokenizer->n_pieces - 1);
    }
    for (int byte = 0; byte < 256; byte++) {
        if (tokenizer->byte_ids[byte] < 0)
            return error_set(error, STATUS_INVALID_ARGUMENT,
                             "model.vocab: the single byte 0x%02X is no token; all 256 must be", byte);
    }
    return STATUS_OK;
}

static enum status load_words(struct tokenizer *tokenizer, json_t *vocab, struct error *error)
{
    const char *word;
    json_t *id;
    memset(tokenizer->byte_ids, -1, sizeof tokenizer->byte_ids);
    json_object_foreach(vocab, word, id)
    {
        enum status status = load_word(tokenizer, word, id, error);
        if (status != STATUS_OK)
            return status;
    }
    return check_complete(tokenizer, error);
}

/* The two words of a merge, joined in `joined` as "left\0right\0", with `left_size` to tell them apart. */
static enum status split_merge(json_t *merge, size_t index, char **joined, size_t *left_size,
                               struct error *error)
{
    const char *left = NULL, *right = NULL;
    size_t size = 0;
    if (json_is_string(merge)) {
        const char *space = strchr(json_string_value(merge), ' ');
        left = json_string_value(merge);
        size = space ? (size_t)(space - left) : 0;
        right = space ? space + 1 : NULL;
    } else if (json_array_size(merge) == 2) {
        left = json_string_value(json_array_get(merge, 0));
        right = json_string_value(json_array_get(merge, 1));
        size = left ? strlen(left) : 0;
    }
    if (!left || !right || size == 0 || !*right || strchr(right, ' ') || memchr(left, ' ', size))
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "model.merges[%zu]: must be \"left right\" or [\"left\", \"right\"]", index);
    if (asprintf(joined, "%.*s%c%s", (int)size, left, '\0', right) < 0)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a merge");
    *left_size = size;
    return STATUS_OK;
}

static enum status find_word(json_t *vocab, const char *word, size_t index, int32_t *id, struct error *error)
{
    json_t *value = json_object_get(vocab, word);
    if (!value)
        return error_set(error, STATUS_INVALID_ARGUMENT, "model.merges[%zu]: '%.80s' is not in model.vocab",
                         index, word);
    *id = (int32_t)json_integer_value(value);
    return STATUS_OK;
}

static enum status load_merge(struct tokenizer *tokenizer, json_t *vocab, json_t *merge, size_t index,
                              struct error *error)
{
    char *words = NULL;
    size_t left_size = 0;
    int32_t left = 0, right = 0, result = 0;
    enum status status = split_merge(merge, index, &words, &left_size, error);
    if (status != STATUS_OK)
        return status;
    status = find_word(vocab, words, index, &left, error);
    if (status == STATUS_OK)
        status = find_word(vocab, words + left_size + 1, index, &right, error);
    if (status == STATUS_OK) {
        memmove(words + left_size, words + left_size + 1, strlen(words + left_size + 1) + 1);
        status = find_word(vocab, words, index, &result, error);
    }
    if (status == STATUS_OK && merge_table_add(&tokenizer->merges, left, right, result) != STATUS_OK)
        status = error_set(error, STATUS_INVALID_ARGUMENT,
                           "model.merges[%zu]: this pair has been merged before", index);
    free(words);
    return status;
}

static enum status load_merges(struct tokenizer *tokenizer, json_t *model, json_t *vocab, struct error *error)
{
    json_t *list = json_object_get(model, "merges"), *merge;
    size_t index;
    if (!json_is_array(list))
        return error_set(error, STATUS_INVALID_ARGUMENT, "model.merges: missing, or no list");
    enum status status = merge_table_init(&tokenizer->merges, json_array_size(list), error);
    if (status != STATUS_OK)
        return status;
    json_array_foreach(list, index, merge)
    {
        status = load_merge(tokenizer, vocab, merge, index, error);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

enum status vocabulary_load(struct tokenizer *tokenizer, json_t *root, struct error *error)
{
    json_t *model = json_object_get(root, "model"), *vocab = json_object_get(model, "vocab");
    if (!json_is_object(vocab))
        return error_set(error, STATUS_INVALID_ARGUMENT, "model.vocab: missing, or no object");
    enum status status = load_added_tokens(tokenizer, root, vocab, error);
    if (status == STATUS_OK)
        status = load_words(tokenizer, vocab, error);
    if (status == STATUS_OK)
        status = load_merges(tokenizer, model, vocab, error);
    return status;
}
