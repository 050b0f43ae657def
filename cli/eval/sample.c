#include "cli/eval/sample.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/terminal/json_output.h"

struct sample *sample_list_add(struct sample_list *list)
{
    if (list->n == list->capacity) {
        size_t capacity = 2 * list->capacity + 64;
        struct sample *larger = realloc(list->samples, capacity * sizeof *larger);
        if (!larger)
            return NULL;
        list->samples = larger;
        list->capacity = capacity;
    }
    struct sample *sample = &list->samples[list->n++];
    *sample = (struct sample){.log_probability = NAN, .seconds = NAN};
    return sample;
}

void sample_list_release(struct sample_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        free(list->samples[i].model);
        free(list->samples[i].text);
        free(list->samples[i].ids);
    }
    free(list->samples);
    *list = (struct sample_list){0};
}

static enum status read_ids(const json_t *ids, struct sample *sample, struct error *error)
{
    if (!json_is_array(ids))
        return error_set(error, STATUS_INVALID_ARGUMENT, "\"ids\" must be a list of token ids");
    size_t n = json_array_size(ids);
    sample->ids = calloc(n + 1, sizeof *sample->ids);
    if (!sample->ids)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a text of %zu tokens", n);
    for (size_t i = 0; i < n; i++) {
        const json_t *id = json_array_get(ids, i);
        json_int_t value = json_integer_value(id);
        if (!json_is_integer(id) || value < 0 || value > UINT32_MAX)
            return error_set(error, STATUS_INVALID_ARGUMENT,
                             "\"ids\" has something at index %zu that is no token id", i);
        sample->ids[i] = (uint32_t)value;
    }
    sample->n_ids = n;
    return STATUS_OK;
}

/* The number at `key`; `missing` where there is none. */
static double number_or(const json_t *object, const char *key, double missing)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : missing;
}

/* A seed has 64 bits, so we write it as a string. Others may write a number. */
static uint64_t seed_of(const json_t *object)
{
    const json_t *value = json_object_get(object, "seed");
    return json_is_string(value) ? strtoull(json_string_value(value), NULL, 10)
                                 : (uint64_t)json_integer_value(value);
}

static enum status read_sample(const json_t *object, struct sample *sample, struct error *error)
{
    const char *text = json_string_value(json_object_get(object, "text"));
    const char *model = json_string_value(json_object_get(object, "model"));
    double steps = number_or(object, "steps", 0);
    if (!text)
        return error_set(error, STATUS_INVALID_ARGUMENT, "\"text\" is missing, or no string");
    if (!(steps >= 0 && steps <= UINT32_MAX))
        return error_set(error, STATUS_INVALID_ARGUMENT, "\"steps\": %g is no number of steps", steps);
    sample->text = strdup(text);
    sample->model = strdup(model ? model : "");
    if (!sample->text || !sample->model)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a text");
    sample->steps = (uint32_t)steps;
    sample->seed = seed_of(object);
    sample->log_probability = number_or(object, "mean_log_probability", NAN);
    sample->seconds = number_or(object, "seconds", NAN);
    return read_ids(json_object_get(object, "ids"), sample, error);
}

static enum status read_line(const char *line, size_t size_bytes, struct sample_list *list,
                             struct error *error)
{
    json_error_t reason;
    struct sample *sample = sample_list_add(list);
    if (!sample)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for %zu texts", list->n);
    json_t *object = json_loadb(line, size_bytes, JSON_REJECT_DUPLICATES, &reason);
    enum status status = json_is_object(object)
                             ? read_sample(object, sample, error)
                             : error_set(error, STATUS_INVALID_ARGUMENT, "is no JSON object: %s",
                                         object ? "another kind of value" : reason.text);
    json_decref(object);
    return status;
}

enum status sample_list_read(const char *path, struct sample_list *list, struct error *error)
{
    FILE *file = fopen(path, "rb");
    char *line = NULL;
    size_t capacity = 0, number = 0;
    enum status status = STATUS_OK;
    if (!file)
        return error_set(error, STATUS_NOT_FOUND, "%s cannot be opened: %s", path, strerror(errno));
    for (ssize_t size; status == STATUS_OK && (size = getline(&line, &capacity, file)) >= 0;) {
        number++;
        if (line[strspn(line, " \t\r\n")] == '\0')
            continue;
        status = read_line(line, (size_t)size, list, error);
        if (status != STATUS_OK)
            error_prefix(error, "%s, line %zu", path, number);
    }
    if (status == STATUS_OK && ferror(file))
        status = error_set(error, STATUS_UNKNOWN, "%s cannot be read: %s", path, strerror(errno));
    if (status == STATUS_OK && list->n == 0)
        status = error_set(error, STATUS_INVALID_ARGUMENT, "%s holds no texts", path);
    free(line);
    fclose(file);
    return status;
}

static void set_if_known(json_t *object, const char *key, double value)
{
    if (isfinite(value))
        json_object_set_new(object, key, json_real(value));
}

static json_t *json_of_sample(const struct sample *sample)
{
    json_t *ids = json_array();
    for (size_t i = 0; i < sample->n_ids; i++)
        json_array_append_new(ids, json_integer(sample->ids[i]));
    json_t *object = json_pack("{s:s, s:I, s:o, s:o, s:o}", "model", sample->model, "steps",
                               (json_int_t)sample->steps, "seed", json_sprintf("%" PRIu64, sample->seed),
                               "ids", ids, "text", json_of_bytes(sample->text, strlen(sample->text)));
    set_if_known(object, "mean_log_probability", sample->log_probability);
    set_if_known(object, "seconds", sample->seconds);
    if (sample->n_judge_tokens > 0) {
        set_if_known(object, "nll", sample->nll);
        set_if_known(object, "judge_tokens", sample->n_judge_tokens);
    }
    return object;
}

enum status sample_list_write(const char *path, const struct sample_list *list, struct error *error)
{
    FILE *file = fopen(path, "wb");
    enum status status = STATUS_OK;
    if (!file)
        return error_set(error, STATUS_PERMISSION_DENIED, "%s cannot be written: %s", path, strerror(errno));
    for (size_t i = 0; i < list->n && status == STATUS_OK; i++)
        status = json_print(json_of_sample(&list->samples[i]), 0, file, error);
    if (fclose(file) != 0 && status == STATUS_OK)
        status = error_set(error, STATUS_UNKNOWN, "%s cannot be written: %s", path, strerror(errno));
    return status == STATUS_OK ? status : error_prefix(error, "%s", path);
}
