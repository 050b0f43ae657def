#include "coordinator/http/completions_body.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/http/json_fields.h"

#define AT(member) offsetof(struct completions_body, member)

static enum status no_memory(struct error *error)
{
    return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the request; try again later");
}

/* ---- prompt ---- */

static enum status refuse_prompt(const json_t *value, struct error *error)
{
    return error_set(error, STATUS_INVALID_ARGUMENT,
                     "prompt: holds %s; it must be a string, an array of strings, an array of token ids, or "
                     "an array of such arrays",
                     json_kind(value));
}

static enum status read_ids(const json_t *array, struct completions_prompt *prompt, struct error *error)
{
    size_t n = json_array_size(array);
    if (!n)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "prompt: holds an empty array; \"\" is an empty prompt");
    prompt->ids = calloc(n + 1, sizeof *prompt->ids);
    if (!prompt->ids)
        return no_memory(error);
    prompt->n_ids = n;
    for (size_t i = 0; i < n; i++) {
        const json_t *value = json_array_get(array, i);
        json_int_t number;
        if (!json_whole(value, &number))
            return refuse_prompt(value, error);
        if (number < 0 || number > UINT32_MAX)
            return error_set(error, STATUS_INVALID_ARGUMENT, "prompt: %lld is no token id",
                             (long long)number);
        prompt->ids[i] = (uint32_t)number;
    }
    return STATUS_OK;
}

static enum status read_prompt(const json_t *value, struct completions_prompt *prompt, struct error *error)
{
    prompt->text = json_string_value(value);
    if (prompt->text)
        return STATUS_OK;
    return json_is_array(value) ? read_ids(value, prompt, error) : refuse_prompt(value, error);
}

/* Texts and ids do not mix. */
static bool is_uniform(const json_t *list)
{
    size_t i;
    json_t *value;
    json_array_foreach(list, i, value)
    {
        const json_t *first = json_array_get(list, 0);
        if (json_typeof(value) != json_typeof(first) && !(json_is_number(value) && json_is_number(first)))
            return false;
    }
    return true;
}

/* An array of prompts, and not the ids of one. */
static bool is_list(const json_t *value)
{
    const json_t *first = json_array_get(value, 0);
    return json_is_string(first) || json_is_array(first);
}

static enum status read_prompts(const struct json_field *field, const json_t *value, void *into,
                                struct error *error)
{
    struct completions_body *body = into;
    size_t n = is_list(value) ? json_array_size(value) : 1;
    (void)field;
    if (json_is_array(value) && !json_array_size(value))
        return error_set(error, STATUS_INVALID_ARGUMENT, "prompt: is an empty array");
    if (!is_uniform(value))
        return error_set(error, STATUS_INVALID_ARGUMENT, "prompt: holds values of different kinds");
    if (n > COMPLETIONS_MOST_CHOICES)
        return error_set(error, STATUS_INVALID_ARGUMENT, "prompt: %zu prompts; at most %d are taken", n,
                         COMPLETIONS_MOST_CHOICES);
    body->prompts = calloc(n, sizeof *body->prompts);
    if (!body->prompts)
        return no_memory(error);
    body->n_prompts = n;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < n && status == STATUS_OK; i++)
        status = read_prompt(is_list(value) ? json_array_get(value, i) : value, &body->prompts[i], error);
    return status;
}

/* ---- other fields of OpenAI's ---- */

static enum status read_stop(const struct json_field *field, const json_t *value, void *into,
                             struct error *error)
{
    struct completions_body *body = into;
    size_t n = json_is_array(value) ? json_array_size(value) : 1;
    if (n > COMPLETIONS_MOST_STOPS)
        return error_set(error, STATUS_INVALID_ARGUMENT, "%s: %zu strings; at most %d are taken",
                         field->shown, n, COMPLETIONS_MOST_STOPS);
    for (size_t i = 0; i < n; i++) {
        const json_t *stop = json_is_array(value) ? json_array_get(value, i) : value;
        if (!json_is_string(stop))
            return error_set(error, STATUS_INVALID_ARGUMENT,
                             "%s: holds %s; it must be a string or an array of strings", field->shown,
                             json_kind(stop));
        if (!json_string_length(stop) || json_string_length(stop) > COMPLETIONS_STOP_BYTES)
            return error_set(error, STATUS_INVALID_ARGUMENT, "%s: a string of %zu bytes; 1 to %d are taken",
                             field->shown, json_string_length(stop), COMPLETIONS_STOP_BYTES);
        body->stops[i] = json_string_value(stop);
    }
    body->n_stops = n;
    return STATUS_OK;
}

static enum status read_seed(const struct json_field *field, const json_t *value, void *into,
                             struct error *error)
{
    struct completions_body *body = into;
    json_int_t number;
    if (!json_whole(value, &number))
        return error_set(error, STATUS_INVALID_ARGUMENT, "%s: is %s; it must be a whole number of 64 bits",
                         field->shown, json_kind(value));
    body->seed = (uint64_t)number;
    return STATUS_OK;
}

static enum status read_logprobs(const struct json_field *field, const json_t *value, void *into,
                                 struct error *error)
{
    (void)value, (void)into;
    return error_set(
        error, STATUS_INVALID_ARGUMENT,
        "%s: is not supported: a step draws tokens without the logits of the others, so there are "
        "no probabilities to report; leave it out",
        field->shown);
}

static enum status read_stream_options(const struct json_field *field, const json_t *value, void *into,
                                       struct error *error)
{
    static const struct json_field fields[] = {
        {"include_usage", "stream_options.include_usage", json_read_bool, AT(include_usage)},
        {0},
    };
    return json_fields_read(fields, value, field->shown, into, error);
}

/* ---- under "millrace" ---- */

static enum status read_steps(const struct json_field *field, const json_t *value, void *into,
                              struct error *error)
{
    static const struct json_field bounds[] = {
        {"at_least", "millrace.steps.at_least", json_read_count, AT(steps_least), .most = UINT32_MAX},
        {"at_most", "millrace.steps.at_most", json_read_count, AT(steps_most), .most = UINT32_MAX},
        {0},
    };
    static const struct json_field count = {"steps", "millrace.steps", json_read_count, AT(steps),
                                            .most = UINT32_MAX};
    struct completions_body *body = into;
    body->steps_choice = json_is_number(value) ? STEPS_FIXED : STEPS_AUTO;
    if (json_is_number(value))
        return json_read_count(&count, value, into, error);
    if (json_is_string(value) && !strcmp(json_string_value(value), "auto"))
        return STATUS_OK;
    if (json_is_object(value))
        return json_fields_read(bounds, value, field->shown, into, error);
    return error_set(error, STATUS_INVALID_ARGUMENT,
                     "%s: is %s; it must be a number, \"auto\", or {\"at_least\": N, \"at_most\": N}",
                     field->shown, json_kind(value));
}

static enum status read_solver(const struct json_field *field, const json_t *value, void *into,
                               struct error *error)
{
    const char *name = json_string_value(value);
    if (name && solver_find(name, &((struct completions_body *)into)->solver))
        return STATUS_OK;
    char solvers[160];
    return error_set(error, STATUS_INVALID_ARGUMENT, "%s: %.40s is none of %s", field->shown,
                     name ? name : json_kind(value), solver_names(solvers, sizeof solvers));
}

static enum status read_priority(const struct json_field *field, const json_t *value, void *into,
                                 struct error *error)
{
    static const char *const names[CLASS_COUNT] = {
        [CLASS_HIGH] = "high", [CLASS_NORMAL] = "normal", [CLASS_LOW] = "low"};
    const char *name = json_string_value(value);
    for (int class = 0; name && class < CLASS_COUNT; class ++) {
        if (!strcmp(names[class], name)) {
            ((struct completions_body *)into)->class = (enum request_class) class;
            return STATUS_OK;
        }
    }
    return error_set(error, STATUS_INVALID_ARGUMENT, "%s: %.40s is none of high, normal and low",
                     field->shown, name ? name : json_kind(value));
}

/* A segment: {"text": "..."} or {"gap": N}; a gap of 0 shares what the length leaves. */
static enum status read_segment(const json_t *value, size_t index, struct generate_segment *segment,
                                struct error *error)
{
    char name[48];
    snprintf(name, sizeof name, "millrace.segments[%zu]", index);
    const struct json_field fields[] = {
        {"text", name, json_read_text, offsetof(struct generate_segment, text)},
        {"gap", name, json_read_count, offsetof(struct generate_segment, gap), .most = UINT32_MAX},
        {0},
    };
    if (json_object_size(value) != 1)
        return error_set(error, STATUS_INVALID_ARGUMENT, "%s: must be {\"text\": \"...\"} or {\"gap\": N}",
                         name);
    return json_fields_read(fields, value, name, segment, error);
}

static enum status read_segments(const struct json_field *field, const json_t *value, void *into,
                                 struct error *error)
{
    struct completions_body *body = into;
    size_t n = json_array_size(value);
    if (!n)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "%s: must be an array of {\"text\": \"...\"} and {\"gap\": N}", field->shown);
    body->segments = calloc(n, sizeof *body->segments);
    if (!body->segments)
        return no_memory(error);
    body->n_segments = n;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < n && status == STATUS_OK; i++)
        status = read_segment(json_array_get(value, i), i, &body->segments[i], error);
    return status;
}

static enum status read_millrace(const struct json_field *field, const json_t *value, void *into,
                                 struct error *error)
{
    static const struct json_field fields[] = {
        {"steps", "millrace.steps", read_steps},
        {"solver", "millrace.solver", read_solver, .given = AT(solver_is_set)},
        {"deadline", "millrace.deadline", json_read_number, AT(deadline_seconds), 0, 0.001, 1e6},
        {"priority", "millrace.priority", read_priority},
        {"frames", "millrace.frames", json_read_bool, AT(frames)},
        {"segments", "millrace.segments", read_segments},
        {"plain_text", "millrace.plain_text", json_read_bool, AT(plain_text)},
        {"revise", "millrace.revise", json_read_bool, AT(revise)},
        {"most_changes", "millrace.most_changes", json_read_count, AT(most_changes), .most = UINT32_MAX},
        {0},
    };
    return json_fields_read(fields, value, field->shown, into, error);
}

/* ---- the whole ---- */

static const struct json_field fields[] = {
    {"model", "model", json_read_text, AT(model)},
    {"prompt", "prompt", read_prompts},
    {"suffix", "suffix", json_read_text, AT(suffix)},
    {"max_tokens", "max_tokens", json_read_count, AT(max_tokens), AT(max_tokens_is_set), 1, UINT32_MAX},
    {"n", "n", json_read_count, AT(n), 0, 1, COMPLETIONS_MOST_CHOICES},
    {"best_of", "best_of", json_read_count, AT(best_of), AT(best_of_is_set), 1, COMPLETIONS_MOST_CHOICES},
    {"seed", "seed", read_seed, 0, AT(seed_is_set)},
    {"temperature", "temperature", json_read_number, AT(temperature), AT(temperature_is_set), -1e30, 1e30},
    {"stop", "stop", read_stop},
    {"echo", "echo", json_read_bool, AT(echo)},
    {"logprobs", "logprobs", read_logprobs},
    {"stream", "stream", json_read_bool, AT(stream)},
    {"stream_options", "stream_options", read_stream_options},
    {"user", "user", json_read_text, AT(user)},
    {"top_p", "top_p", json_refuse_but, .least = 1},
    {"presence_penalty", "presence_penalty", json_refuse_but},
    {"frequency_penalty", "frequency_penalty", json_refuse_but},
    {"logit_bias", "logit_bias", json_refuse},
    {"millrace", "millrace", read_millrace},
    {0},
};

static enum status invalid(struct error *error, const char *text)
{
    return error_set(error, STATUS_INVALID_ARGUMENT, "%s", text);
}

/* What is wrong with fields together. */
static enum status check_together(const struct completions_body *body, struct error *error)
{
    bool gaps = body->segments != NULL;
    if (!body->n_prompts && !gaps)
        return invalid(error, "prompt: is missing; it may be \"\"");
    if (gaps && (body->n_prompts || body->suffix || body->max_tokens_is_set || body->echo || body->n_stops))
        return invalid(error, "millrace.segments: is the whole text; it does not go with prompt, suffix, "
                              "max_tokens, echo and stop");
    if (body->n_prompts * body->n > COMPLETIONS_MOST_CHOICES)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "n: %zu prompts of %u texts; at most %d texts are written", body->n_prompts, body->n,
                         COMPLETIONS_MOST_CHOICES);
    if (body->best_of_is_set && body->best_of != body->n)
        return invalid(error, "best_of: is not supported here, unless it equals n: texts have no probability "
                              "by which the best would be known");
    if (json_object_get(body->json, "stream_options") && !body->stream &&
        !json_is_null(json_object_get(body->json, "stream_options")))
        return invalid(error, "stream_options: needs \"stream\": true");
    if (body->frames && !body->stream)
        return invalid(error, "millrace.frames: needs \"stream\": true");
    if (body->user && strlen(body->user) > 256)
        return error_set(error, STATUS_INVALID_ARGUMENT, "user: %zu bytes; at most 256 are taken",
                         strlen(body->user));
    return STATUS_OK;
}

enum status completions_body_read(const char *text, size_t size, struct completions_body *body,
                                  struct error *error)
{
    *body = (struct completions_body){.n = 1, .class = CLASS_NORMAL};
    enum status status = json_body_parse(text, size, &body->json, error);
    if (status == STATUS_OK)
        status = json_fields_read(fields, body->json, "", body, error);
    if (status == STATUS_OK)
        status = check_together(body, error);
    if (status != STATUS_OK)
        completions_body_release(body);
    return status;
}

void completions_body_release(struct completions_body *body)
{
    for (size_t i = 0; i < body->n_prompts; i++)
        free(body->prompts[i].ids);
    free(body->prompts);
    free(body->segments);
    json_decref(body->json);
    *body = (struct completions_body){0};
}

size_t completions_body_n_choices(const struct completions_body *body)
{
    return (body->segments ? 1 : body->n_prompts) * body->n;
}

/* ---- options ---- */

static bool is_empty(const struct completions_prompt *prompt)
{
    return prompt->text ? !*prompt->text : !prompt->n_ids;
}

/* [prompt] gap [suffix]; an empty text is left out. Returns how many. */
static size_t set_segments(const struct completions_body *body, const struct completions_prompt *prompt,
                           struct generate_segment *segments)
{
    size_t n = 0;
    if (!is_empty(prompt))
        segments[n++] =
            (struct generate_segment){.text = prompt->text, .ids = prompt->ids, .n_ids = prompt->n_ids};
    segments[n++] = (struct generate_segment){.gap = body->max_tokens};
    if (body->suffix && *body->suffix)
        segments[n++] = (struct generate_segment){.text = body->suffix};
    return n;
}

void completions_body_options(const struct completions_body *body, size_t choice,
                              struct completions_choice_options *made)
{
    struct generate_options *options = &made->options;
    *made = (struct completions_choice_options){0};
    *options = (struct generate_options){
        .model = body->model,
        .input = INPUT_INFILL,
        .segments = body->segments ? body->segments : made->segments,
        .steps_choice = body->steps_choice,
        .steps = body->steps,
        .steps_least = body->steps_least,
        .steps_most = body->steps_most,
        .seed_is_set = true,
        .seed = body->seed + choice,
        .temperature_is_set = body->temperature_is_set,
        .temperature = (float)body->temperature,
        .solver = body->solver,
        .plain_text = body->plain_text,
        .revise = body->revise,
        .most_changes = body->most_changes,
        .terms.class = body->class,
    };
    options->n_segments = body->segments
                              ? body->n_segments
                              : set_segments(body, &body->prompts[choice / body->n], made->segments);
}

void completions_body_rename(const struct completions_body *body, struct error *error)
{
    static const struct {
        const char *from, *to, *to_with_segments;
    } names[] = {
        {"infill.segments[0]", "prompt", "millrace.segments[0]"},
        {"infill.segments[1]", "max_tokens", "millrace.segments[1]"},
        {"infill.segments[2]", "suffix", "millrace.segments[2]"},
        {"infill.segments", "prompt", "millrace.segments"},
        {"infill", "max_tokens", "millrace.segments"},
        {"auto_steps", "millrace.steps", "millrace.steps"},
        {"steps", "millrace.steps", "millrace.steps"},
        {"deadline", "millrace.deadline", "millrace.deadline"},
    };
    bool no_prompt = body->n_prompts && is_empty(&body->prompts[0]);
    char rest[ERROR_TEXT_MAX];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t size = strlen(names[i].from);
        if (strncmp(error->text, names[i].from, size) != 0)
            continue;
        const char *to =
            body->segments ? names[i].to_with_segments : names[no_prompt && i < 2 ? i + 1 : i].to;
        snprintf(rest, sizeof rest, "%s", error->text + size);
        snprintf(error->text, sizeof error->text, "%s%.*s", to, (int)(sizeof error->text - strlen(to) - 1),
                 rest);
        return;
    }
}
