#include "common/tokenizer/post_processor.h"

#include <stdbool.h>
#include <string.h>

#include "common/tokenizer/steps.h"

struct loading {
    struct post_processor *post;
    int n_ids;
};

/* What one step puts around the text. */
struct around {
    int32_t before[POST_IDS_MAX], after[POST_IDS_MAX];
    size_t n_before, n_after;
};

static enum status add_id(const struct loading *loading, json_t *value, int32_t *ids, size_t *n,
                          struct error *error)
{
    json_int_t id = json_integer_value(value);
    if (!json_is_integer(value) || id < 0 || id >= loading->n_ids)
        return error_set(error, STATUS_INVALID_ARGUMENT, "an id must be a whole number from 0 to %d",
                         loading->n_ids - 1);
    if (*n == POST_IDS_MAX)
        return error_set(error, STATUS_INVALID_ARGUMENT, "more than %d tokens are not supported",
                         POST_IDS_MAX);
    ids[(*n)++] = (int32_t)id;
    return STATUS_OK;
}

/* The later of two steps stands outside. */
static enum status wrap(struct post_processor *post, const struct around *around, struct error *error)
{
    if (post->n_before + around->n_before > POST_IDS_MAX || post->n_after + around->n_after > POST_IDS_MAX)
        return error_set(error, STATUS_INVALID_ARGUMENT, "more than %d tokens are not supported",
                         POST_IDS_MAX);
    memmove(post->before + around->n_before, post->before, post->n_before * sizeof *post->before);
    memcpy(post->before, around->before, around->n_before * sizeof *post->before);
    memcpy(post->after + post->n_after, around->after, around->n_after * sizeof *post->after);
    post->n_before += around->n_before;
    post->n_after += around->n_after;
    return STATUS_OK;
}

static enum status add_special(const struct loading *loading, json_t *step, json_t *token,
                               struct around *around, bool after, struct error *error)
{
    const char *name = json_string_value(json_object_get(token, "id"));
    json_t *ids = json_object_get(json_object_get(json_object_get(step, "special_tokens"), name ? name : ""),
                                  "ids"),
           *id;
    size_t index;
    if (!name || !json_is_array(ids))
        return error_set(error, STATUS_INVALID_ARGUMENT, "TemplateProcessing: special_tokens lacks '%.60s'",
                         name ? name : "");
    enum status status = STATUS_OK;
    json_array_foreach(ids, index, id)
    {
        if (status == STATUS_OK)
            status = add_id(loading, id, after ? around->after : around->before,
                            after ? &around->n_after : &around->n_before, error);
    }
    return status;
}

/* "single" is a list of special tokens with the text, {"Sequence": {"id": "A"}}, once among them. */
static enum status load_template(const struct loading *loading, json_t *step, struct error *error)
{
    static const char *const known[] = {"single", "pair", "special_tokens", NULL};
    json_t *single = json_object_get(step, "single"), *part;
    struct around around = {0};
    size_t index;
    bool after = false;
    enum status status = step_check_keys(step, known, error);
    json_array_foreach(single, index, part)
    {
        json_t *token = json_object_get(part, "SpecialToken"), *text = json_object_get(part, "Sequence");
        const char *id = json_string_value(json_object_get(text, "id"));
        if (status == STATUS_OK && token)
            status = add_special(loading, step, token, &around, after, error);
        else if (status == STATUS_OK && (!id || strcmp(id, "A") != 0 || after))
            status =
                error_set(error, STATUS_INVALID_ARGUMENT,
                          "TemplateProcessing: single[%zu] is neither a special token nor the text A", index);
        else if (status == STATUS_OK)
            after = true;
    }
    if (status == STATUS_OK && !after)
        status = error_set(error, STATUS_INVALID_ARGUMENT, "TemplateProcessing: single lacks the text A");
    return status == STATUS_OK ? wrap(loading->post, &around, error) : status;
}

/* BertProcessing and RobertaProcessing: {"cls": ["[CLS]", 101], "sep": ["[SEP]", 102]} */
static enum status load_pair(const struct loading *loading, json_t *step, struct error *error)
{
    static const char *const known[] = {"cls", "sep", "trim_offsets", "add_prefix_space", NULL};
    struct around around = {0};
    enum status status = step_check_keys(step, known, error);
    if (status == STATUS_OK)
        status = add_id(loading, json_array_get(json_object_get(step, "cls"), 1), around.before,
                        &around.n_before, error);
    if (status == STATUS_OK)
        status = add_id(loading, json_array_get(json_object_get(step, "sep"), 1), around.after,
                        &around.n_after, error);
    return status == STATUS_OK ? wrap(loading->post, &around, error) : status;
}

/* ByteLevel sets offsets only. */
static enum status load_step(void *context, json_t *step, const char *type, struct error *error)
{
    const struct loading *loading = context;
    if (!strcmp(type, "ByteLevel"))
        return STATUS_OK;
    if (!strcmp(type, "TemplateProcessing"))
        return load_template(loading, step, error);
    if (!strcmp(type, "BertProcessing") || !strcmp(type, "RobertaProcessing"))
        return load_pair(loading, step, error);
    return step_refuse(type, error);
}

enum status post_processor_load(struct post_processor *post, json_t *root, int n_ids, struct error *error)
{
    struct loading loading = {post, n_ids};
    return steps_visit(root, "post_processor", "processors", load_step, &loading, error);
}
