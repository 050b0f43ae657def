#include "common/tokenizer/stages.h"

#include <stdbool.h>
#include <string.h>

#include "common/tokenizer/split.h"

struct stage {
    const char *key, *list; /* the key of the file; the key of a Sequence's steps */
    bool (*accepts)(json_t *step, const char *type);
    const char *wanted; /* what the error says is supported */
};

static bool is_off(json_t *step, const char *key)
{
    json_t *value = json_object_get(step, key);
    return json_is_false(value) || json_is_null(value);
}

/* Normalizers whose every switch is off. */
static bool accepts_normalizer(json_t *step, const char *type)
{
    if (!strcmp(type, "Strip"))
        return is_off(step, "strip_left") && is_off(step, "strip_right");
    if (!strcmp(type, "BertNormalizer"))
        return is_off(step, "clean_text") && is_off(step, "handle_chinese_chars") &&
               is_off(step, "strip_accents") && is_off(step, "lowercase");
    return false;
}

/* ByteLevel sets offsets only. A template that is the text alone adds nothing. */
static bool accepts_post_processor(json_t *step, const char *type)
{
    if (!strcmp(type, "ByteLevel"))
        return true;
    json_t *single = json_object_get(step, "single"), *text = json_array_get(single, 0);
    const char *id = json_string_value(json_object_get(json_object_get(text, "Sequence"), "id"));
    return !strcmp(type, "TemplateProcessing") && json_array_size(single) == 1 && id && !strcmp(id, "A");
}

/* Fuse joins what ByteLevel has made; our bytes are joined anyway. */
static bool accepts_decoder(json_t *step, const char *type)
{
    (void)step;
    return !strcmp(type, "ByteLevel") || !strcmp(type, "Fuse");
}

static enum status check_step(const struct stage *stage, json_t *step, struct error *error)
{
    if (!step || json_is_null(step))
        return STATUS_OK;
    const char *type = json_string_value(json_object_get(step, "type"));
    json_t *list = json_object_get(step, stage->list), *inner;
    size_t index;
    if (type && !strcmp(type, "Sequence") && json_is_array(list)) {
        enum status status = STATUS_OK;
        json_array_foreach(list, index, inner)
        {
            if (status == STATUS_OK)
                status = check_step(stage, inner, error);
        }
        return status;
    }
    if (type && stage->accepts(step, type))
        return STATUS_OK;
    return error_set(error, STATUS_INVALID_ARGUMENT, "%s: %.60s is not supported, only %s", stage->key,
                     type ? type : "this value", stage->wanted);
}

enum status stages_check(json_t *root, struct error *error)
{
    static const struct stage stages[] = {
        {"normalizer", "normalizers", accepts_normalizer, "null"},
        {"post_processor", "processors", accepts_post_processor, "null or ByteLevel"},
        {"decoder", "decoders", accepts_decoder, "null or ByteLevel"}};
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < sizeof stages / sizeof *stages; i++)
        status = check_step(&stages[i], json_object_get(root, stages[i].key), error);
    return status;
}

/* The Split step that newer files write before ByteLevel, where it is GPT-2's own. */
static bool is_gpt2_split(json_t *step, const char *type)
{
    const char *pattern = json_string_value(json_object_get(json_object_get(step, "pattern"), "Regex"));
    const char *behavior = json_string_value(json_object_get(step, "behavior"));
    return !strcmp(type, "Split") && pattern && !strcmp(pattern, split_gpt2_source) && behavior &&
           !strcmp(behavior, "Isolated") && is_off(step, "invert");
}

static enum status find_pre_tokenizer(json_t *step, json_t **byte_level, int *splits, struct error *error)
{
    const char *type = json_string_value(json_object_get(step, "type"));
    json_t *list = json_object_get(step, "pretokenizers"), *inner;
    size_t index;
    enum status status = STATUS_OK;
    if (type && !strcmp(type, "Sequence") && json_is_array(list)) {
        json_array_foreach(list, index, inner)
        {
            if (status == STATUS_OK)
                status = find_pre_tokenizer(inner, byte_level, splits, error);
        }
    } else if (type && !*byte_level && is_gpt2_split(step, type)) {
        ++*splits;
    } else if (type && !*byte_level && !strcmp(type, "ByteLevel")) {
        *byte_level = step;
    } else {
        status =
            error_set(error, STATUS_INVALID_ARGUMENT, "pre_tokenizer.type: %.60s is not supported, only %s",
                      type ? type : "none", *byte_level ? "one ByteLevel, the last" : "ByteLevel");
    }
    return status;
}

enum status pre_tokenizer_find(json_t *root, json_t **byte_level, int *splits, struct error *error)
{
    *byte_level = NULL;
    *splits = 0;
    enum status status =
        find_pre_tokenizer(json_object_get(root, "pre_tokenizer"), byte_level, splits, error);
    if (status == STATUS_OK && !*byte_level)
        status = error_set(error, STATUS_INVALID_ARGUMENT,
                           "pre_tokenizer: none of its steps is ByteLevel, which is needed");
    return status;
}
