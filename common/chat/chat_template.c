#include "common/chat/chat_template.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/chat/execute.h"
#include "common/chat/parser.h"
#include "common/chat/text_builder.h"
#include "common/file_read.h"
#include "common/utf8.h"

enum { SOURCE_BYTES_MAX = 256 << 10, CONFIG_BYTES_MAX = 32 << 20, JSON_DEPTH_MAX = 40 };

struct chat_template {
    char *source, *where;
    size_t size_bytes;
    json_t *variables; /* bos_token and its like */
};

/* A template is parsed anew for each text: it takes microseconds, and running it writes into what was parsed.
 */
static struct node *parse(struct machine *machine, const struct chat_template *template)
{
    const struct token *tokens = lexer_run(machine, template->source, template->size_bytes);
    return tokens ? parser_run(machine, tokens) : NULL;
}

enum status chat_template_parse(const char *source, size_t size_bytes, json_t *variables, const char *where,
                                struct chat_template **made, struct error *error)
{
    struct error reason;
    struct machine machine = {.error = &reason};
    if (size_bytes > SOURCE_BYTES_MAX)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "%s: the template has %zu bytes; at most %d are supported", where, size_bytes,
                         SOURCE_BYTES_MAX);
    if (utf8_valid_size(source, size_bytes) < size_bytes)
        return error_set(error, STATUS_INVALID_ARGUMENT, "%s: the template is not valid UTF-8", where);
    struct chat_template *template = calloc(1, sizeof *template);
    if (template) {
        template->source = malloc(size_bytes + 1);
        template->where = strdup(where);
        template->size_bytes = size_bytes;
        template->variables = variables ? json_deep_copy(variables) : json_object();
    }
    if (!template || !template->source || !template->where || !template->variables) {
        chat_template_free(template);
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a template");
    }
    memcpy(template->source, source, size_bytes);
    parse(&machine, template);
    enum status status = machine.status;
    bounded_release(&machine);
    if (status != STATUS_OK) {
        chat_template_free(template);
        return error_set(error, status, "%s: %s", where, reason.text);
    }
    *made = template;
    return STATUS_OK;
}

void chat_template_free(struct chat_template *template)
{
    if (!template)
        return;
    free(template->source);
    free(template->where);
    json_decref(template->variables);
    free(template);
}

void chat_text_release(struct chat_text *text)
{
    free(text->bytes);
    free(text->users);
    *text = (struct chat_text){0};
}

/* ---- files ---- */

/* The text of DIRECTORY/NAME; *text stays NULL where there is no such file. */
static enum status read_file(const char *directory, const char *name, char **text, size_t *size,
                             struct error *error)
{
    char *path = NULL;
    struct error why;
    if (asprintf(&path, "%s/%s", directory, name) < 0)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a file name");
    enum status status = file_read(path, FILE_REGULAR, CONFIG_BYTES_MAX, text, size, &why);
    free(path);
    if (status == STATUS_NOT_FOUND)
        return STATUS_OK;
    if (status != STATUS_OK && error)
        *error = why;
    return status;
}

static enum status read_object(const char *directory, const char *name, json_t **object, struct error *error)
{
    char *text = NULL;
    size_t size = 0;
    json_error_t reason;
    *object = NULL;
    enum status status = read_file(directory, name, &text, &size, error);
    if (status != STATUS_OK || !text)
        return status;
    *object = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &reason);
    free(text);
    if (json_is_object(*object))
        return STATUS_OK;
    json_decref(*object);
    *object = NULL;
    return error_set(error, STATUS_INVALID_ARGUMENT, "%s/%s: no JSON object: %s", directory, name,
                     reason.text);
}

/* Every key that ends with _token: a text, or an object with the text as its content. */
static void take_special(json_t *from, json_t *variables)
{
    const char *key;
    json_t *value;
    json_object_foreach(from, key, value)
    {
        size_t n = strlen(key);
        json_t *text = json_is_object(value) ? json_object_get(value, "content") : value;
        if (n > 6 && !strcmp(key + n - 6, "_token") && json_is_string(text) &&
            !json_object_get(variables, key))
            json_object_set(variables, key, text);
    }
}

/* One template, or a list of named ones of which "default" is taken. */
static const char *template_of(json_t *config)
{
    json_t *given = json_object_get(config, "chat_template"), *entry;
    size_t index;
    json_array_foreach(given, index, entry)
    {
        const char *name = json_string_value(json_object_get(entry, "name"));
        if (name && !strcmp(name, "default"))
            return json_string_value(json_object_get(entry, "template"));
    }
    return json_string_value(given);
}

static enum status make(const char *directory, const char *jinja, size_t size, json_t *config, json_t *map,
                        struct chat_template **made, struct error *error)
{
    const char *source = jinja ? jinja : template_of(config);
    if (!source)
        return error_set(
            error, STATUS_NOT_FOUND,
            "%s has no chat template (chat_template.jinja, or chat_template in tokenizer_config.json)",
            directory);
    json_t *variables = json_object();
    char *where = NULL;
    if (asprintf(&where, "%s/%s", directory,
                 jinja ? "chat_template.jinja" : "tokenizer_config.json: chat_template") < 0) {
        json_decref(variables);
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a file name");
    }
    take_special(config, variables);
    take_special(map, variables);
    enum status status =
        chat_template_parse(source, jinja ? size : strlen(source), variables, where, made, error);
    json_decref(variables);
    free(where);
    return status;
}

enum status chat_template_load(const char *directory, struct chat_template **made, struct error *error)
{
    char *jinja = NULL;
    size_t size = 0;
    json_t *config = NULL, *map = NULL;
    enum status status = read_file(directory, "chat_template.jinja", &jinja, &size, error);
    if (status == STATUS_OK)
        status = read_object(directory, "tokenizer_config.json", &config, error);
    if (status == STATUS_OK)
        status = read_object(directory, "special_tokens_map.json", &map, error);
    if (status == STATUS_OK)
        status = make(directory, jinja, size, config, map, made, error);
    json_decref(config);
    json_decref(map);
    free(jinja);
    return status;
}

/* ---- rendering ---- */

static struct text marked(struct machine *machine, const char *bytes, size_t size, bool users)
{
    struct text_builder out = {.machine = machine};
    builder_add_bytes(&out, bytes, size, users);
    return builder_text(&out);
}

/* `users`: texts come from a client. */
static struct value value_of_json(struct machine *machine, json_t *json, bool users, int depth)
{
    const char *key;
    json_t *item;
    size_t index;
    struct value made = json_is_object(json) ? value_dict(machine) : value_list(machine);
    if (depth > JSON_DEPTH_MAX)
        bounded_fail(machine, "a variable is nested more than %d deep", JSON_DEPTH_MAX);
    if (bounded_failed(machine) || json_is_null(json))
        return value_none();
    if (json_is_boolean(json))
        return value_boolean(json_is_true(json));
    if (json_is_integer(json))
        return value_integer(json_integer_value(json));
    if (json_is_real(json))
        return value_float(json_real_value(json));
    if (json_is_string(json))
        return value_text(marked(machine, json_string_value(json), json_string_length(json), users));
    json_object_foreach(json, key, item)
        dict_set(machine, made.dict, value_text(marked(machine, key, strlen(key), users)),
                 value_of_json(machine, item, users, depth + 1));
    json_array_foreach(json, index, item)
        list_add(machine, made.list, value_of_json(machine, item, users, depth + 1));
    return made;
}

/* A role that everyone uses may become part of a token ("<|" + role + "|>"). Any other could spell one that a
 * client may not write. */
static bool is_usual_role(const char *role)
{
    static const char *const usual[] = {"system",    "user",     "assistant", "tool",
                                        "developer", "function", "model",     NULL};
    const char *const *known = usual;
    while (*known && strcmp(*known, role) != 0)
        known++;
    return *known != NULL;
}

static void set_names(struct machine *machine, struct dict *names, json_t *from, bool users)
{
    const char *key;
    json_t *value;
    json_object_foreach(from, key, value)
        dict_set(machine, names, value_text(marked(machine, key, strlen(key), false)),
                 value_of_json(machine, value, users, 0));
}

static struct value names_of(struct machine *machine, const struct chat_template *template,
                             const struct chat_message *messages, size_t n,
                             const struct chat_options *options)
{
    struct value names = value_dict(machine), list = value_list(machine);
    for (size_t i = 0; i < n && bounded_step(machine, 1); i++) {
        struct value message = value_dict(machine);
        const char *role = messages[i].role;
        dict_set(machine, message.dict, value_string("role"),
                 value_text(marked(machine, role, strlen(role), !is_usual_role(role))));
        dict_set(machine, message.dict, value_string("content"),
                 value_text(marked(machine, messages[i].content, messages[i].content_bytes, true)));
        list_add(machine, list.list, message);
    }
    set_names(machine, names.dict, template->variables, false);
    dict_set(machine, names.dict, value_string("tools"), value_none());
    dict_set(machine, names.dict, value_string("documents"), value_none());
    set_names(machine, names.dict, options->variables, true);
    dict_set(machine, names.dict, value_string("messages"), list);
    dict_set(machine, names.dict, value_string("add_generation_prompt"),
             value_boolean(options->add_generation_prompt));
    return names;
}

static enum status copy_out(struct text written, struct chat_text *text, struct error *error)
{
    struct chat_text copy = {malloc(written.size + 1), written.size, calloc(written.size + 1, 1)};
    if (!copy.bytes || !copy.users) {
        chat_text_release(&copy);
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a text of %zu bytes", written.size);
    }
    memcpy(copy.bytes, written.bytes, written.size);
    copy.bytes[written.size] = '\0';
    if (written.users)
        memcpy(copy.users, written.users, written.size);
    *text = copy;
    return STATUS_OK;
}

static enum status check_messages(const struct chat_message *messages, size_t n, struct error *error)
{
    for (size_t i = 0; i < n; i++) {
        if (utf8_valid_size(messages[i].content, messages[i].content_bytes) < messages[i].content_bytes ||
            utf8_valid_size(messages[i].role, strlen(messages[i].role)) < strlen(messages[i].role))
            return error_set(error, STATUS_INVALID_ARGUMENT, "messages[%zu]: not valid UTF-8", i);
    }
    return STATUS_OK;
}

enum status chat_template_render(const struct chat_template *template, const struct chat_message *messages,
                                 size_t n_messages, const struct chat_options *options,
                                 struct chat_text *text, struct error *error)
{
    struct error reason;
    struct machine machine = {.error = &reason};
    enum status status = check_messages(messages, n_messages, error);
    if (status != STATUS_OK)
        return status;
    struct node *statements = parse(&machine, template);
    struct text written = {"", 0, NULL};
    if (!bounded_failed(&machine))
        written = execute(&machine, statements, names_of(&machine, template, messages, n_messages, options));
    status = machine.status == STATUS_OK
                 ? copy_out(written, text, error)
                 : error_set(error, machine.status, "%s: %s", template->where, reason.text);
    bounded_release(&machine);
    return status;
}

enum status chat_text_encode(const struct chat_text *text, const struct tokenizer *tokenizer,
                             bool users_may_write_special, int32_t **ids, size_t *n_ids, struct error *error)
{
    const struct tokenizer_options options = {.users = users_may_write_special ? NULL : text->users};
    return tokenizer_encode_with(tokenizer, &options, text->bytes, text->size_bytes, ids, n_ids, error);
}
