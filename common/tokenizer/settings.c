/*
 * tokenizer.json describes a pipeline. We support one: no normalizer, the byte-level pre-tokenizer, BPE, the
 * byte-level decoder. A file that asks for anything else is refused, and the error names the key: a tokenizer
 * that is nearly right makes a model that is quietly wrong.
 */
#include <string.h>

#include "common/tokenizer/parts.h"
#include "common/tokenizer/stages.h"

static enum status refuse(struct error *error, const char *path, const char *key, const char *what)
{
    return error_set(error, STATUS_INVALID_ARGUMENT, "%s%s: %s", path, key, what);
}

/* Every key must be in the list of known ones, which ends with NULL. */
static enum status check_keys(json_t *object, const char *path, const char *const *known, struct error *error)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        const char *const *name = known;
        while (*name && strcmp(*name, key) != 0)
            name++;
        if (!*name && !json_is_null(value))
            return error_set(error, STATUS_INVALID_ARGUMENT, "%s%.60s: this key is not supported", path, key);
    }
    return STATUS_OK;
}

static enum status read_boolean(json_t *object, const char *path, const char *key, int fallback, bool *out,
                                struct error *error)
{
    json_t *value = json_object_get(object, key);
    if (!value && fallback >= 0) {
        *out = fallback;
        return STATUS_OK;
    }
    if (!json_is_boolean(value))
        return refuse(error, path, key, value ? "must be true or false" : "missing; must be true or false");
    *out = json_is_true(value);
    return STATUS_OK;
}

static enum status load_pre_tokenizer(struct tokenizer *tokenizer, json_t *root, struct error *error)
{
    static const char *const known[] = {"type", "add_prefix_space", "trim_offsets", "use_regex", NULL};
    static const char path[] = "pre_tokenizer.";
    json_t *value = NULL;
    int splits = 0;
    bool use_regex = false;
    enum status status = pre_tokenizer_find(root, &value, &splits, error);
    if (status == STATUS_OK)
        status = check_keys(value, path, known, error);
    if (status == STATUS_OK)
        status = read_boolean(value, path, "add_prefix_space", -1, &tokenizer->add_prefix_space, error);
    if (status == STATUS_OK)
        status = read_boolean(value, path, "use_regex", true, &use_regex, error);
    if (status == STATUS_OK && splits && tokenizer->add_prefix_space)
        status = refuse(error, path, "add_prefix_space", "true after a Split step is not supported");
    if (status == STATUS_OK && (use_regex || splits))
        status = split_compile(&tokenizer->pattern, error);
    return status;
}

/* A model without a type is BPE if it has vocab and merges: the file published with GPT-2 has no type, and
 * the reference library takes it as BPE. A type of null is an error in that library too. */
static enum status check_model_type(json_t *model, struct error *error)
{
    json_t *type = json_object_get(model, "type");
    const char *given = json_string_value(type);
    bool like_bpe = json_is_object(json_object_get(model, "vocab")) && json_object_get(model, "merges");
    if (given ? !strcmp(given, "BPE") : !type && like_bpe)
        return STATUS_OK;
    return error_set(error, STATUS_INVALID_ARGUMENT, "model.type: %.60s is not supported, only BPE",
                     given  ? given
                     : type ? "this value"
                            : "none");
}

/*
 * Settings of the BPE model that must be absent, null, false, zero or empty: all of them change what comes
 * out. byte_fallback, unk_token and fuse_unk are about text that the vocabulary lacks. Ours lacks none,
 * because all bytes are in it.
 */
static enum status check_model(json_t *model, struct error *error)
{
    static const char *const known[] = {"type",
                                        "vocab",
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
    if (!json_is_object(model))
        return refuse(error, "", "model", "missing, or no object");
    enum status status = check_model_type(model, error);
    if (status != STATUS_OK)
        return status;
    for (const char *const *key = must_be_off; *key; key++) {
        json_t *value = json_object_get(model, *key);
        bool off = !value || json_is_null(value) || json_is_false(value) ||
                   (json_is_string(value) && json_string_length(value) == 0) ||
                   (json_is_number(value) && json_number_value(value) == 0);
        if (!off)
            return refuse(error, "model.", *key, "is set, which is not supported");
    }
    return check_keys(model, "model.", known, error);
}

/* truncation and padding are for batches of equal length. We do not make such batches, so we ignore both
 * settings. */
enum status settings_load(struct tokenizer *tokenizer, json_t *root, struct error *error)
{
    static const char *const known[] = {
        "version",       "truncation",     "padding", "added_tokens", "normalizer",
        "pre_tokenizer", "post_processor", "decoder", "model",        NULL};
    json_t *version = json_object_get(root, "version");
    const char *given = json_string_value(version);
    if (version && (!given || strcmp(given, "1.0") != 0))
        return error_set(error, STATUS_INVALID_ARGUMENT, "version: %.60s is not supported, only 1.0",
                         given ? given : "this value");
    enum status status = check_keys(root, "", known, error);
    if (status == STATUS_OK)
        status = stages_check(root, error);
    if (status == STATUS_OK)
        status = check_model(json_object_get(root, "model"), error);
    if (status == STATUS_OK)
        status = load_pre_tokenizer(tokenizer, root, error);
    return status;
}
