/* The words of tokenizer.json. While loading, the file's own object is the table from word to id. */
#include <string.h>

#include "common/tokenizer/parts.h"

/* What the model calls a token: its bytes, or its word. */
static struct token_piece symbol_of(const struct tokenizer *tokenizer, int32_t id)
{
    return tokenizer->model == MODEL_BYTES ? tokenizer->pieces[id] : tokenizer->words[id];
}

/* Enters a token in the tables by which texts are encoded. */
static void index_token(struct tokenizer *tokenizer, int32_t id)
{
    struct token_piece symbol = symbol_of(tokenizer, id);
    word_table_add(&tokenizer->table, symbol, id);
    if (symbol.size_bytes > tokenizer->longest_word)
        tokenizer->longest_word = symbol.size_bytes;
    if (tokenizer->model == MODEL_BYTES && symbol.size_bytes == 1)
        tokenizer->byte_ids[(unsigned char)symbol.bytes[0]] = id;
}

/* SentencePiece's byte tokens, which are looked for under these names. */
static void find_byte_tokens(struct tokenizer *tokenizer)
{
    for (int byte = 0; byte < 256 && tokenizer->byte_fallback; byte++) {
        static const char digits[] = "0123456789ABCDEF";
        const char name[] = {'<', '0', 'x', digits[byte / 16], digits[byte % 16], '>'};
        tokenizer->byte_ids[byte] = word_table_find(&tokenizer->table, name, sizeof name);
    }
}

static enum status load_word(struct tokenizer *tokenizer, const char *word, json_t *id_value,
                             struct error *error)
{
    int32_t id = 0;
    size_t size = strlen(word);
    enum status status = token_read_id(tokenizer, id_value, "model.vocab", word, &id, error);
    if (status != STATUS_OK)
        return status;
    struct token_piece present = tokenizer->words[id];
    bool is_added = present.bytes && present.size_bytes == size && !memcmp(present.bytes, word, size);
    if (present.bytes && !is_added)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "model.vocab: the id %d of '%.80s' is another token's too", id, word);
    if (!is_added)
        status = token_set(tokenizer, id, word, size, false, error);
    if (status == STATUS_OK)
        index_token(tokenizer, id);
    return status;
}

static enum status find_unknown(struct tokenizer *tokenizer, json_t *model, struct error *error)
{
    json_t *given = json_object_get(model, "unk_token");
    const char *word = json_string_value(given);
    tokenizer->unknown = -1;
    if (tokenizer->model == MODEL_BYTES ||
        ((!given || json_is_null(given)) && tokenizer->model == MODEL_CHARACTERS))
        return STATUS_OK;
    if (word)
        tokenizer->unknown = word_table_find(&tokenizer->table, word, strlen(word));
    if (tokenizer->unknown < 0)
        return error_set(error, STATUS_INVALID_ARGUMENT, "model.unk_token: '%.60s' is not in model.vocab",
                         word ? word : "");
    return STATUS_OK;
}

/* Any text must become ids: all bytes are tokens, or there is a token for what is unknown. */
static enum status check_complete(const struct tokenizer *tokenizer, struct error *error)
{
    for (int byte = 0; byte < 256 && tokenizer->unknown < 0; byte++) {
        if (tokenizer->byte_ids[byte] >= 0)
            continue;
        if (tokenizer->model == MODEL_BYTES)
            return error_set(error, STATUS_INVALID_ARGUMENT,
                             "model.vocab: the single byte 0x%02X is no token; all 256 must be", byte);
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "model.vocab: there is no token for unknown characters (unk_token), and with "
                         "byte_fallback '<0x%02X>' is missing",
                         byte);
    }
    return STATUS_OK;
}

static enum status load_words(struct tokenizer *tokenizer, json_t *model, json_t *vocab, struct error *error)
{
    const char *word;
    json_t *id;
    memset(tokenizer->byte_ids, -1, sizeof tokenizer->byte_ids);
    enum status status = word_table_init(&tokenizer->table, json_object_size(vocab), error);
    if (status != STATUS_OK)
        return status;
    json_object_foreach(vocab, word, id)
    {
        status = load_word(tokenizer, word, id, error);
        if (status != STATUS_OK)
            return status;
    }
    if (tokenizer->model == MODEL_CHARACTERS)
        find_byte_tokens(tokenizer);
    status = find_unknown(tokenizer, model, error);
    return status == STATUS_OK ? check_complete(tokenizer, error) : status;
}

enum status vocabulary_load(struct tokenizer *tokenizer, json_t *root, struct error *error)
{
    json_t *model = json_object_get(root, "model"), *vocab = json_object_get(model, "vocab");
    if (!json_is_object(vocab))
        return error_set(error, STATUS_INVALID_ARGUMENT, "model.vocab: missing, or no object");
    enum status status = added_tokens_load(tokenizer, root, vocab, error);
    if (status == STATUS_OK)
        status = load_words(tokenizer, model, vocab, error);
    if (status == STATUS_OK && tokenizer->model != MODEL_WORD_PIECE)
        status = merges_load(tokenizer, model, vocab, error);
    return status;
}
