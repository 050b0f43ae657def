#include "common/tokenizer/normalizer.h"

#include <stdlib.h>
#include <string.h>

#include "common/tokenizer/normalizer_step.h"
#include "common/tokenizer/steps.h"

enum { CONTENT_BYTES_MAX = 64 };

static char *copy_of(const char *text)
{
    return text ? strdup(text) : NULL;
}

static enum status load_strip(struct normalizer_step *step, json_t *json, struct error *error)
{
    static const char *const known[] = {"strip_left", "strip_right", NULL};
    step->kind = NORMALIZER_STRIP;
    enum status status = step_check_keys(json, known, error);
    if (status == STATUS_OK)
        status = step_boolean(json, "strip_left", -1, &step->left, error);
    if (status == STATUS_OK)
        status = step_boolean(json, "strip_right", -1, &step->right, error);
    return status;
}

static enum status load_content(struct normalizer_step *step, json_t *json, const char *key,
                                struct error *error)
{
    const char *content = NULL;
    enum status status = step_string(json, key, &content, error);
    if (status != STATUS_OK)
        return status;
    if (strlen(content) > CONTENT_BYTES_MAX)
        return error_set(error, STATUS_INVALID_ARGUMENT, "%s: more than %d bytes are not supported", key,
                         CONTENT_BYTES_MAX);
    step->content = copy_of(content);
    step->content_bytes = strlen(content);
    return step->content ? STATUS_OK
                         : error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a normalizer");
}

static enum status load_prepend(struct normalizer_step *step, json_t *json, struct error *error)
{
    static const char *const known[] = {"prepend", NULL};
    step->kind = NORMALIZER_PREPEND;
    enum status status = step_check_keys(json, known, error);
    return status == STATUS_OK ? load_content(step, json, "prepend", error) : status;
}

static enum status load_replace(struct normalizer_step *step, json_t *json, struct error *error)
{
    static const char *const known[] = {"pattern", "content", NULL};
    json_t *pattern = json_object_get(json, "pattern");
    const char *literal = json_string_value(json_object_get(pattern, "String")),
               *source = json_string_value(json_object_get(pattern, "Regex"));
    step->kind = NORMALIZER_REPLACE;
    enum status status = step_check_keys(json, known, error);
    if (status == STATUS_OK)
        status = load_content(step, json, "content", error);
    if (status != STATUS_OK)
        return status;
    if (source)
        return regex_open(source, strlen(source), &step->regex, error);
    if (!literal || !*literal)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "pattern: must be {\"String\": text} or {\"Regex\": text}");
    step->literal = copy_of(literal);
    return step->literal ? STATUS_OK
                         : error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a normalizer");
}

/* strip_accents of null means: as lowercase says. */
static enum status load_bert(struct normalizer_step *step, json_t *json, struct error *error)
{
    static const char *const known[] = {"clean_text", "handle_chinese_chars", "strip_accents", "lowercase",
                                        NULL};
    step->kind = NORMALIZER_BERT;
    enum status status = step_check_keys(json, known, error);
    if (status == STATUS_OK)
        status = step_boolean(json, "clean_text", -1, &step->clean, error);
    if (status == STATUS_OK)
        status = step_boolean(json, "handle_chinese_chars", -1, &step->chinese, error);
    if (status == STATUS_OK)
        status = step_boolean(json, "lowercase", -1, &step->lowercase, error);
    json_t *accents = json_object_get(json, "strip_accents");
    step->accents = step->lowercase;
    if (status == STATUS_OK && accents && !json_is_null(accents))
        status = step_boolean(json, "strip_accents", -1, &step->accents, error);
    return status;
}

static enum status load_form(struct normalizer_step *step, json_t *json, const char *type,
                             struct error *error)
{
    static const char *const known[] = {NULL};
    step->kind = NORMALIZER_FORM;
    step->form.compatibility = strchr(type, 'K') != NULL;
    step->form.compose = strchr(type, 'C') != NULL;
    return step_check_keys(json, known, error);
}

static enum status load_step(void *context, json_t *json, const char *type, struct error *error)
{
    static const char *const none[] = {NULL};
    struct normalizer *normalizer = context;
    struct normalizer_step *grown =
        realloc(normalizer->steps, (normalizer->n + 1) * sizeof *normalizer->steps);
    if (!grown)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a normalizer");
    normalizer->steps = grown;
    struct normalizer_step *step = &grown[normalizer->n++];
    *step = (struct normalizer_step){0};
    if (!strcmp(type, "NFC") || !strcmp(type, "NFD") || !strcmp(type, "NFKC") || !strcmp(type, "NFKD"))
        return load_form(step, json, type, error);
    if (!strcmp(type, "Lowercase") || !strcmp(type, "StripAccents")) {
        step->kind = *type == 'L' ? NORMALIZER_LOWERCASE : NORMALIZER_STRIP_ACCENTS;
        return step_check_keys(json, none, error);
    }
    enum status status = !strcmp(type, "Strip")            ? load_strip(step, json, error)
                         : !strcmp(type, "Prepend")        ? load_prepend(step, json, error)
                         : !strcmp(type, "Replace")        ? load_replace(step, json, error)
                         : !strcmp(type, "BertNormalizer") ? load_bert(step, json, error)
                                                           : step_refuse(type, error);
    return status;
}

/* A step whose every switch is off. */
static bool does_nothing(const struct normalizer_step *step)
{
    return (step->kind == NORMALIZER_STRIP && !step->left && !step->right) ||
           (step->kind == NORMALIZER_BERT && !step->clean && !step->chinese && !step->accents &&
            !step->lowercase);
}

static void release_step(struct normalizer_step *step)
{
    free(step->content);
    free(step->literal);
    regex_free(step->regex);
}

enum status normalizer_load(struct normalizer *normalizer, json_t *root, struct error *error)
{
    enum status status = steps_visit(root, "normalizer", "normalizers", load_step, normalizer, error);
    size_t kept = 0;
    for (size_t i = 0; status == STATUS_OK && i < normalizer->n; i++) {
        if (!does_nothing(&normalizer->steps[i]))
            normalizer->steps[kept++] = normalizer->steps[i];
    }
    if (status == STATUS_OK)
        normalizer->n = kept;
    return status;
}

void normalizer_release(struct normalizer *normalizer)
{
    for (size_t i = 0; i < normalizer->n; i++)
        release_step(&normalizer->steps[i]);
    free(normalizer->steps);
    *normalizer = (struct normalizer){0};
}

enum status normalizer_append(const struct normalizer *normalizer, const char *text, size_t size_bytes,
                              struct text_buffer *out, struct error *error)
{
    struct text_buffer before = {0}, after = {0};
    text_buffer_append(&before, text, size_bytes);
    enum status status = text_buffer_check(&before, error);
    for (size_t i = 0; status == STATUS_OK && i < normalizer->n; i++) {
        after.n = 0;
        status = normalizer_step_append(&normalizer->steps[i], before.bytes, before.n, &after, error);
        if (status == STATUS_OK)
            status = text_buffer_check(&after, error);
        struct text_buffer swap = before;
        before = after;
        after = swap;
    }
    if (status == STATUS_OK)
        text_buffer_append(out, before.bytes, before.n);
    text_buffer_release(&before);
    text_buffer_release(&after);
    return status;
}
