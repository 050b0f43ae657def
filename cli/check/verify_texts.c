#include "cli/check/verify_texts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/chat/chat_template.h"
#include "common/tokenizer/tokenizer.h"

enum { PATH_ROOM = 4096, MESSAGES_MAX = 64, N_IDS = 1 << 20 /* no vector has an id above */ };

static void find(json_t *findings, const char *file, const char *what, size_t n, const char *wrong)
{
    json_array_append_new(findings, wrong ? json_pack("{s:s, s:b, s:s}", "file", file, "ok", 0, "note", wrong)
                                          : json_pack("{s:s, s:s, s:i, s:s, s:f, s:f, s:b, s:b}", "file",
                                                      file, "check", what, "count", (int)n, "unit", "texts",
                                                      "value", 0.0, "limit", 0.0, "at_least", 0, "ok", 1));
}

static bool same_ids(json_t *wanted, const int32_t *ids, size_t n)
{
    bool same = json_array_size(wanted) == n;
    for (size_t i = 0; same && i < n; i++)
        same = json_integer_value(json_array_get(wanted, i)) == ids[i];
    return same;
}

static enum status check_decoded(const struct tokenizer *tokenizer, json_t *vector, const int32_t *ids,
                                 size_t n, struct error *error)
{
    static const char *const keys[] = {"decoded", "decoded_skip_special"};
    for (int skip = 0; skip < 2; skip++) {
        json_t *wanted = json_object_get(vector, keys[skip]);
        char *text = NULL;
        size_t size = 0;
        enum status status = tokenizer_decode_text(tokenizer, ids, n, skip, &text, &size, error);
        bool same = status == STATUS_OK && size == json_string_length(wanted) &&
                    !memcmp(text, json_string_value(wanted), size);
        free(text);
        if (status == STATUS_OK && wanted && !same)
            status = error_set(error, STATUS_DATA_LOSS, "%s differs", keys[skip]);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

static enum status check_text(const struct tokenizer *tokenizer, json_t *vector, struct error *error)
{
    json_t *text = json_object_get(vector, "text");
    const struct tokenizer_options options = {
        .add_special = json_is_true(json_object_get(vector, "add_special_tokens"))};
    int32_t *ids = NULL;
    size_t n = 0;
    if (!json_is_string(text))
        return error_set(error, STATUS_INVALID_ARGUMENT, "it has no text");
    enum status status = tokenizer_encode_with(tokenizer, &options, json_string_value(text),
                                               json_string_length(text), &ids, &n, error);
    if (status == STATUS_OK && !same_ids(json_object_get(vector, "ids"), ids, n))
        status = error_set(error, STATUS_DATA_LOSS, "the ids differ");
    if (status == STATUS_OK)
        status = check_decoded(tokenizer, vector, ids, n, error);
    free(ids);
    return status;
}

static enum status render(const struct chat_template *template, json_t *vector, bool no_thinking,
                          struct chat_text *text, struct error *error)
{
    struct chat_message messages[MESSAGES_MAX];
    json_t *list = json_object_get(vector, "messages"), *message;
    json_t *variables = no_thinking ? json_pack("{s:b}", "enable_thinking", 0) : NULL;
    const struct chat_options options = {json_is_true(json_object_get(vector, "add_generation_prompt")),
                                         variables};
    size_t index, n = json_array_size(list);
    enum status status =
        n > MESSAGES_MAX ? error_set(error, STATUS_INVALID_ARGUMENT, "more than 64 messages") : STATUS_OK;
    for (index = 0; status == STATUS_OK && index < n; index++) {
        message = json_array_get(list, index);
        json_t *role = json_object_get(message, "role"), *content = json_object_get(message, "content");
        if (!json_is_string(role) || !json_is_string(content))
            status =
                error_set(error, STATUS_INVALID_ARGUMENT, "messages[%zu] has no role or no content", index);
        else
            messages[index] = (struct chat_message){json_string_value(role), json_string_value(content),
                                                    json_string_length(content)};
    }
    if (status == STATUS_OK)
        status = chat_template_render(template, messages, n, &options, text, error);
    json_decref(variables);
    return status;
}

static enum status check_chat(const struct tokenizer *tokenizer, const struct chat_template *template,
                              json_t *vector, bool no_thinking, struct error *error)
{
    json_t *wanted = json_object_get(vector, "text");
    struct chat_text text = {0};
    int32_t *ids = NULL;
    size_t n = 0;
    enum status status = render(template, vector, no_thinking, &text, error);
    if (status == STATUS_OK && (text.size_bytes != json_string_length(wanted) ||
                                memcmp(text.bytes, json_string_value(wanted), text.size_bytes) != 0))
        status = error_set(error, STATUS_DATA_LOSS, "the text differs");
    if (status == STATUS_OK)
        status = chat_text_encode(&text, tokenizer, false, &ids, &n, error);
    if (status == STATUS_OK && !same_ids(json_object_get(vector, "ids"), ids, n))
        status = error_set(error, STATUS_DATA_LOSS, "the ids differ");
    chat_text_release(&text);
    free(ids);
    return status;
}

/* NULL: there is no such file, or it is a tokenizer and no list of vectors. */
static json_t *read_vectors(const char *directory, const char *file)
{
    char path[PATH_ROOM];
    snprintf(path, sizeof path, "%s/%s", directory, file);
    json_t *root = json_load_file(path, JSON_ALLOW_NUL, NULL);
    if (json_is_array(json_object_get(root, "vectors")))
        return root;
    json_decref(root);
    return NULL;
}

/* What the file's vectors give; the first that differs is named. */
static void check_file(const char *model, const char *file, json_t *root, json_t *findings)
{
    struct tokenizer *tokenizer = NULL;
    struct chat_template *template = NULL;
    struct error error;
    bool chat = !strcmp(file, "chat.json");
    const char *says = json_string_value(json_object_get(root, "template"));
    bool no_thinking = says && strstr(says, "enable_thinking false");
    json_t *vectors = json_object_get(root, "vectors"), *vector;
    size_t index;
    enum status status = tokenizer_open(model, N_IDS, &tokenizer, &error);
    if (status == STATUS_OK && chat)
        status = chat_template_load(model, &template, &error);
    json_array_foreach(vectors, index, vector)
    {
        if (status != STATUS_OK)
            break;
        status = chat ? check_chat(tokenizer, template, vector, no_thinking, &error)
                      : check_text(tokenizer, vector, &error);
        if (status != STATUS_OK)
            error_prefix(&error, "vectors[%zu]", index);
    }
    find(findings, file, chat ? "messages to text and ids" : "text to ids and back", json_array_size(vectors),
         status == STATUS_OK ? NULL : error.text);
    chat_template_free(template);
    tokenizer_free(tokenizer);
}

void verify_texts(const char *directory, json_t *findings)
{
    static const char *const files[] = {"tokenizer.json", "chat.json"};
    char model[PATH_ROOM];
    snprintf(model, sizeof model, "%s/model", directory);
    for (int i = 0; i < 2; i++) {
        json_t *root = read_vectors(directory, files[i]);
        if (root)
            check_file(model, files[i], root, findings);
        json_decref(root);
    }
}
