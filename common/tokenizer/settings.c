/* What tokenizer.json says of the stages and of the model, but for its words. */
#include <string.h>

#include "common/tokenizer/parts.h"
#include "common/tokenizer/steps.h"

enum { CHARACTERS_MAX = 1000 };

static enum status refuse(struct error *error, const char *key, const char *what)
{
    return error_set(error, STATUS_INVALID_ARGUMENT, "model%s%s: %s", *key ? "." : "", key, what);
}

static bool is_off(json_t *value)
{
    return !value || json_is_null(value) || json_is_false(value) ||
           (json_is_string(value) && json_string_length(value) == 0) ||
           (json_is_number(value) && json_number_value(value) == 0);
}

/* A model without a type is BPE if it has vocab and merges: the file published with GPT-2 has no type, and
 * the reference library takes it as BPE. A type of null is an error in that library too. */
static enum status read_type(struct tokenizer *tokenizer, json_t *model, struct error *error)
{
    json_t *type = json_object_get(model, "type");
    const char *given = json_string_value(type);
    bool like_bpe = json_is_object(json_object_get(model, "vocab")) && json_object_get(model, "merges");
    if (given ? !strcmp(given, "BPE") : !type && like_bpe) {
        tokenizer->model = tokenizer->pre_tokenizer.byte_level ? MODEL_BYTES : MODEL_CHARACTERS;
        return STATUS_OK;
    }
    if (given && !strcmp(given, "WordPiece")) {
        tokenizer->model = MODEL_WORD_PIECE;
        if (!tokenizer->pre_tokenizer.byte_level)
            return STATUS_OK;
        return refuse(error, "type", "WordPiece after a ByteLevel pre_tokenizer is not supported");
    }
    return error_set(error, STATUS_INVALID_ARGUMENT,
                     "model.type: %.60s is not supported, only BPE and WordPiece",
                     given  ? given
                     : type ? "this value"
                            : "none");
}

/* A setting that may be missing or null. */
static enum status read_flag(json_t *model, const char *key, bool *out, struct error *error)
{
    json_t *value = json_object_get(model, key);
    if (value && !json_is_null(value) && !json_is_boolean(value))
        return refuse(error, key, "must be true or false");
    *out = json_is_true(value);
    return STATUS_OK;
}

static enum status load_bpe(struct tokenizer *tokenizer, json_t *model, struct error *error)
{
    static const char *const known[] = {"vocab",
                                        "merges",
                                        "unk_token",
                                        "fuse_unk",
                                        "dropout",
                                        "continuing_subword_prefix",
                                        "end_of_word_suffix",
                                        "byte_fallback",
                                        "ignore_merges",
                                        NULL};
    static const char *const must_be_off[] = {"dropout", "continuing_subword_prefix", "end_of_word_suffix",
                                              NULL};
    for (const char *const *key = must_be_off; *key; key++) {
        if (!is_off(json_object_get(model, *key)))
            return refuse(error, *key, "is set, which is not supported");
    }
    enum status status = step_check_keys(model, known, error);
    if (status != STATUS_OK)
        return error_prefix(error, "model");
    status = read_flag(model, "ignore_merges", &tokenizer->ignore_merges, error);
    if (status == STATUS_OK)
        status = read_flag(model, "byte_fallback", &tokenizer->byte_fallback, error);
    if (status == STATUS_OK)
        status = read_flag(model, "fuse_unk", &tokenizer->fuse_unknown, error);
    return status;
}

static enum status load_word_piece(struct tokenizer *tokenizer, json_t *model, struct error *error)
{
    static const char *const known[] = {"vocab", "unk_token", "continuing_subword_prefix",
                                        "max_input_chars_per_word", NULL};
    json_t *prefix = json_object_get(model, "continuing_subword_prefix"),
           *longest = json_object_get(model, "max_input_chars_per_word");
    enum status status = step_check_keys(model, known, error);
    if (status != STATUS_OK)
        return error_prefix(error, "model");
    size_t n = json_string_length(prefix);
    if (!json_is_string(prefix) || n > 15)
        return refuse(error, "continuing_subword_prefix", "must be a text of at most 15 bytes");
    if (!json_is_integer(longest) || json_integer_value(longest) < 1 ||
        json_integer_value(longest) > CHARACTERS_MAX)
        return refuse(error, "max_input_chars_per_word", "must be a whole number from 1 to 1000");
    char *copy = byte_store_take(&tokenizer->store, n + 1);
    if (!copy)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a tokenizer");
    strcpy(copy, json_string_value(prefix));
    tokenizer->continuing = (struct token_piece){copy, n};
    tokenizer->word_characters_max = (size_t)json_integer_value(longest);
    return STATUS_OK;
}

static enum status load_model(struct tokenizer *tokenizer, json_t *model, struct error *error)
{
    if (!json_is_object(model))
        return refuse(error, "", "missing, or no object");
    enum status status = read_type(tokenizer, model, error);
    if (status != STATUS_OK)
        return status;
    return tokenizer->model == MODEL_WORD_PIECE ? load_word_piece(tokenizer, model, error)
                                                : load_bpe(tokenizer, model, error);
}

static enum status check_root(json_t *root, struct error *error)
{
    static const char *const known[] = {
        "version",       "truncation",     "padding", "added_tokens", "normalizer",
        "pre_tokenizer", "post_processor", "decoder", "model",        NULL};
    json_t *version = json_object_get(root, "version");
    const char *given = json_string_value(version);
    if (version && (!given || strcmp(given, "1.0") != 0))
        return error_set(error, STATUS_INVALID_ARGUMENT, "version: %.60s is not supported, only 1.0",
                         given ? given : "this value");
    return step_check_keys(root, known, error);
}

/* truncation and padding are for batches of equal length. We do not make such batches, so we ignore both
 * settings. */
enum status settings_load(struct tokenizer *tokenizer, json_t *root, struct error *error)
{
    enum status status = check_root(root, error);
    if (status == STATUS_OK)
        status = normalizer_load(&tokenizer->normalizer, root, error);
    if (status == STATUS_OK)
        status = pre_tokenizer_load(&tokenizer->pre_tokenizer, root, error);
    if (status == STATUS_OK)
        status = load_model(tokenizer, json_object_get(root, "model"), error);
    if (status == STATUS_OK)
        status = post_processor_load(&tokenizer->post_processor, root, tokenizer->n_ids, error);
    if (status == STATUS_OK)
        status = decoder_load(&tokenizer->decoder, root, tokenizer->pre_tokenizer.byte_level, error);
    return status;
}
