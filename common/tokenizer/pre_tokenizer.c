#include "common/tokenizer/pre_tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "common/tokenizer/pre_tokenizer_step.h"
#include "common/tokenizer/steps.h"
#include "common/tokenizer/unicode.h"

static struct pre_tokenizer_step *new_step(struct pre_tokenizer *pre, enum pre_tokenizer_kind kind,
                                           struct error *error)
{
    struct pre_tokenizer_step *grown = realloc(pre->steps, (pre->n + 1) * sizeof *grown);
    if (!grown) {
        error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a pre-tokenizer");
        return NULL;
    }
    pre->steps = grown;
    struct pre_tokenizer_step *step = &grown[pre->n++];
    *step = (struct pre_tokenizer_step){.kind = kind, .behavior = SPLIT_ISOLATED};
    return step;
}

static enum status load_byte_level(struct pre_tokenizer *pre, json_t *json, struct error *error)
{
    static const char *const known[] = {"add_prefix_space", "trim_offsets", "use_regex", NULL};
    bool prefix = false, use_regex = false;
    enum status status = step_check_keys(json, known, error);
    if (status == STATUS_OK)
        status = step_boolean(json, "add_prefix_space", -1, &prefix, error);
    if (status == STATUS_OK)
        status = step_boolean(json, "use_regex", true, &use_regex, error);
    if (status == STATUS_OK && prefix && !new_step(pre, PRE_PREFIX_SPACE, error))
        status = STATUS_RESOURCE_EXHAUSTED;
    if (status == STATUS_OK && use_regex) {
        struct pre_tokenizer_step *step = new_step(pre, PRE_RULES, error);
        if (!step)
            return STATUS_RESOURCE_EXHAUSTED;
        step->rules = &split_gpt2;
    }
    pre->byte_level = true;
    return status;
}

static enum status read_behavior(json_t *json, enum split_behavior *behavior, struct error *error)
{
    static const char *const names[] = {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext",
                                        "Contiguous"};
    const char *name = json_string_value(json_object_get(json, "behavior"));
    for (int i = 0; name && i < 5; i++) {
        if (!strcmp(name, names[i])) {
            *behavior = (enum split_behavior)i;
            return STATUS_OK;
        }
    }
    return error_set(error, STATUS_INVALID_ARGUMENT,
                     "behavior: must be Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous");
}

static enum status set_literal(struct pre_tokenizer_step *step, const char *text, const char *key,
                               struct error *error)
{
    if (!text || !*text || strlen(text) >= sizeof step->literal)
        return error_set(error, STATUS_INVALID_ARGUMENT, "%s: must be a text of 1 to %zu bytes", key,
                         sizeof step->literal - 1);
    strcpy(step->literal, text);
    return STATUS_OK;
}

static enum status load_split(struct pre_tokenizer *pre, json_t *json, struct error *error)
{
    static const char *const known[] = {"pattern", "behavior", "invert", NULL};
    json_t *pattern = json_object_get(json, "pattern");
    const char *source = json_string_value(json_object_get(pattern, "Regex"));
    struct pre_tokenizer_step *step = new_step(pre, PRE_REGEX, error);
    if (!step)
        return STATUS_RESOURCE_EXHAUSTED;
    enum status status = step_check_keys(json, known, error);
    if (status == STATUS_OK)
        status = read_behavior(json, &step->behavior, error);
    if (status == STATUS_OK)
        status = step_boolean(json, "invert", false, &step->invert, error);
    if (status != STATUS_OK)
        return status;
    if (!source) {
        step->kind = PRE_LITERAL;
        return set_literal(step, json_string_value(json_object_get(pattern, "String")), "pattern.String",
                           error);
    }
    step->rules = step->behavior == SPLIT_ISOLATED && !step->invert ? split_rules_find(source) : NULL;
    if (step->rules) {
        step->kind = PRE_RULES;
        return STATUS_OK;
    }
    return regex_open(source, strlen(source), &step->regex, error);
}

/* Older files have add_prefix_space in place of prepend_scheme. */
static enum status load_metaspace(struct pre_tokenizer *pre, json_t *json, struct error *error)
{
    static const char *const known[] = {"replacement",      "prepend_scheme", "split",
                                        "add_prefix_space", "str_rep",        NULL};
    static const char *const schemes[] = {"always", "first", "never"};
    bool prefix = true;
    struct pre_tokenizer_step *step = new_step(pre, PRE_METASPACE, error);
    if (!step)
        return STATUS_RESOURCE_EXHAUSTED;
    enum status status = step_check_keys(json, known, error);
    if (status == STATUS_OK)
        status =
            set_literal(step, json_string_value(json_object_get(json, "replacement")), "replacement", error);
    if (status == STATUS_OK)
        status = step_boolean(json, "split", true, &step->splits, error);
    if (status == STATUS_OK)
        status = step_boolean(json, "add_prefix_space", true, &prefix, error);
    if (status != STATUS_OK)
        return status;
    const char *scheme = json_string_value(json_object_get(json, "prepend_scheme"));
    int found = prefix ? PREPEND_ALWAYS : PREPEND_NEVER;
    if (scheme) {
        for (found = 0; found < 3 && strcmp(scheme, schemes[found]) != 0;)
            found++;
    }
    if (found == 3)
        return error_set(error, STATUS_INVALID_ARGUMENT, "prepend_scheme: must be always, first or never");
    step->prepend = (enum prepend_scheme)found;
    return STATUS_OK;
}

static enum status load_characters(struct pre_tokenizer *pre, bool (*property)(uint32_t),
                                   enum split_behavior behavior, struct error *error)
{
    struct pre_tokenizer_step *step = new_step(pre, PRE_CHARACTERS, error);
    if (!step)
        return STATUS_RESOURCE_EXHAUSTED;
    step->has_property = property;
    step->behavior = behavior;
    return STATUS_OK;
}

static enum status load_digits(struct pre_tokenizer *pre, json_t *json, struct error *error)
{
    static const char *const known[] = {"individual_digits", NULL};
    bool individual = false;
    enum status status = step_check_keys(json, known, error);
    if (status == STATUS_OK)
        status = step_boolean(json, "individual_digits", -1, &individual, error);
    return status == STATUS_OK ? load_characters(pre, pre_tokenizer_is_number,
                                                 individual ? SPLIT_ISOLATED : SPLIT_CONTIGUOUS, error)
                               : status;
}

static enum status load_punctuation(struct pre_tokenizer *pre, json_t *json, struct error *error)
{
    static const char *const known[] = {"behavior", NULL};
    enum split_behavior behavior = SPLIT_ISOLATED;
    enum status status = step_check_keys(json, known, error);
    if (status == STATUS_OK && json_object_get(json, "behavior"))
        status = read_behavior(json, &behavior, error);
    return status == STATUS_OK ? load_characters(pre, pre_tokenizer_is_punctuation, behavior, error) : status;
}

static enum status load_delimiter(struct pre_tokenizer *pre, json_t *json, struct error *error)
{
    static const char *const known[] = {"delimiter", NULL};
    struct pre_tokenizer_step *step = new_step(pre, PRE_LITERAL, error);
    if (!step)
        return STATUS_RESOURCE_EXHAUSTED;
    step->behavior = SPLIT_REMOVED;
    enum status status = step_check_keys(json, known, error);
    return status == STATUS_OK
               ? set_literal(step, json_string_value(json_object_get(json, "delimiter")), "delimiter", error)
               : status;
}

static enum status load_without_settings(struct pre_tokenizer *pre, json_t *json, const char *type,
                                         struct error *error)
{
    static const char *const none[] = {NULL};
    enum status status = step_check_keys(json, none, error);
    if (status == STATUS_OK && !strcmp(type, "Whitespace")) {
        struct pre_tokenizer_step *step = new_step(pre, PRE_WORDS, error);
        if (!step)
            return STATUS_RESOURCE_EXHAUSTED;
        step->behavior = SPLIT_REMOVED;
        step->invert = true;
        return STATUS_OK;
    }
    if (status == STATUS_OK)
        status = load_characters(pre, unicode_is_space, SPLIT_REMOVED, error);
    if (status == STATUS_OK && !strcmp(type, "BertPreTokenizer"))
        status = load_characters(pre, pre_tokenizer_is_punctuation, SPLIT_ISOLATED, error);
    return status;
}

static enum status load_step(void *context, json_t *json, const char *type, struct error *error)
{
    struct pre_tokenizer *pre = context;
    if (pre->byte_level && !strcmp(type, "ByteLevel"))
        return error_set(error, STATUS_INVALID_ARGUMENT, "a second ByteLevel is not supported");
    if (pre->byte_level && !pre->in_alphabet) {
        if (!new_step(pre, PRE_ALPHABET, error))
            return STATUS_RESOURCE_EXHAUSTED;
        pre->in_alphabet = true;
    }
    if (!strcmp(type, "ByteLevel"))
        return load_byte_level(pre, json, error);
    if (!strcmp(type, "Split"))
        return load_split(pre, json, error);
    if (!strcmp(type, "Metaspace"))
        return load_metaspace(pre, json, error);
    if (!strcmp(type, "Digits"))
        return load_digits(pre, json, error);
    if (!strcmp(type, "Punctuation"))
        return load_punctuation(pre, json, error);
    if (!strcmp(type, "CharDelimiterSplit"))
        return load_delimiter(pre, json, error);
    if (!strcmp(type, "Whitespace") || !strcmp(type, "WhitespaceSplit") || !strcmp(type, "BertPreTokenizer"))
        return load_without_settings(pre, json, type, error);
    return step_refuse(type, error);
}

enum status pre_tokenizer_load(struct pre_tokenizer *pre, json_t *root, struct error *error)
{
    enum status status = steps_visit(root, "pre_tokenizer", "pretokenizers", load_step, pre, error);
    if (status == STATUS_OK && pre->in_alphabet && !new_step(pre, PRE_BYTES, error))
        status = STATUS_RESOURCE_EXHAUSTED;
    return status;
}

void pre_tokenizer_release(struct pre_tokenizer *pre)
{
    for (size_t i = 0; i < pre->n; i++)
        regex_free(pre->steps[i].regex);
    free(pre->steps);
    *pre = (struct pre_tokenizer){0};
}

bool pre_tokenizer_is_plain(const struct pre_tokenizer *pre, const struct split_rules **rules)
{
    *rules = pre->n ? pre->steps[0].rules : NULL;
    return pre->n == 0 || (pre->n == 1 && pre->steps[0].kind == PRE_RULES);
}

enum status pre_tokenizer_cut(const struct pre_tokenizer *pre, struct pieces *pieces, struct error *error)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < pre->n; i++) {
        struct pieces next = {0};
        status = pre_tokenizer_step_run(&pre->steps[i], pieces, &next, error);
        pieces_release(pieces);
        *pieces = next;
    }
    return status;
}
