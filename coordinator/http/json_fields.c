#include "coordinator/http/json_fields.h"

#include <math.h>
#include <string.h>

#include "common/nearest.h"

const char *json_kind(const json_t *json)
{
    static const char *const kinds[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array", [JSON_STRING] = "a string",
        [JSON_INTEGER] = "a number", [JSON_REAL] = "a number",  [JSON_TRUE] = "true",
        [JSON_FALSE] = "false",      [JSON_NULL] = "null",
    };
    return kinds[json_typeof(json)];
}

bool json_whole(const json_t *json, json_int_t *number)
{
    double real = json_real_value(json);
    if (json_is_real(json) && (real != floor(real) || fabs(real) > 0x1p53))
        return false;
    *number = json_is_real(json) ? (json_int_t)real : json_integer_value(json);
    return json_is_number(json);
}

enum status json_body_parse(const char *text, size_t size, json_t **json, struct error *error)
{
    json_error_t wrong;
    if (!size)
        return error_set(error, STATUS_INVALID_ARGUMENT, "the body is empty; it must be a JSON object");
    json_t *parsed = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &wrong);
    if (!parsed)
        return error_set(error, STATUS_INVALID_ARGUMENT, "the body is not JSON: line %d, column %d: %s",
                         wrong.line, wrong.column, wrong.text);
    if (!json_is_object(parsed)) {
        error_set(error, STATUS_INVALID_ARGUMENT, "the body is %s; it must be a JSON object",
                  json_kind(parsed));
        json_decref(parsed);
        return error->status;
    }
    *json = parsed;
    return STATUS_OK;
}

static enum status refuse_unknown(const struct json_field *fields, const char *name, const char *object,
                                  struct error *error)
{
    const char *nearest = NULL;
    for (; fields->name; fields++)
        nearest = nearer_name(name, nearest, fields->name);
    return error_set(error, STATUS_INVALID_ARGUMENT, "%s%s%.60s: there is no such field%s%s%s", object,
                     *object ? "." : "", name, nearest ? "; did you mean " : "", nearest ? nearest : "",
                     nearest ? "?" : "");
}

static const struct json_field *find(const struct json_field *fields, const char *name)
{
    while (fields->name && strcmp(fields->name, name) != 0)
        fields++;
    return fields->name ? fields : NULL;
}

enum status json_fields_read(const struct json_field *fields, const json_t *json, const char *object,
                             void *into, struct error *error)
{
    const char *name;
    json_t *value;
    if (!json_is_object(json))
        return error_set(error, STATUS_INVALID_ARGUMENT, "%s: is %s; it must be an object", object,
                         json_kind(json));
    json_object_foreach((json_t *)json, name, value)
    {
        const struct json_field *field = find(fields, name);
        if (!field)
            return refuse_unknown(fields, name, object, error);
        if (json_is_null(value))
            continue;
        enum status status = field->read(field, value, into, error);
        if (status != STATUS_OK)
            return status;
        if (field->given)
            *(bool *)((char *)into + field->given) = true;
    }
    return STATUS_OK;
}

/* ---- readers ---- */

static enum status refuse_kind(const struct json_field *field, const json_t *value, const char *wanted,
                               struct error *error)
{
    return error_set(error, STATUS_INVALID_ARGUMENT, "%s: is %s; it must be %s", field->shown,
                     json_kind(value), wanted);
}

enum status json_read_bool(const struct json_field *field, const json_t *value, void *into,
                           struct error *error)
{
    if (!json_is_boolean(value))
        return refuse_kind(field, value, "true or false", error);
    *(bool *)((char *)into + field->offset) = json_is_true(value);
    return STATUS_OK;
}

enum status json_read_count(const struct json_field *field, const json_t *value, void *into,
                            struct error *error)
{
    json_int_t number;
    if (!json_whole(value, &number))
        return refuse_kind(field, value, "a whole number", error);
    if ((double)number < field->least || (double)number > field->most)
        return error_set(error, STATUS_INVALID_ARGUMENT, "%s: %lld is not from %.0f to %.0f", field->shown,
                         (long long)number, field->least, field->most);
    *(uint32_t *)((char *)into + field->offset) = (uint32_t)number;
    return STATUS_OK;
}

enum status json_read_number(const struct json_field *field, const json_t *value, void *into,
                             struct error *error)
{
    if (!json_is_number(value))
        return refuse_kind(field, value, "a number", error);
    double number = json_number_value(value);
    if (!(number >= field->least && number <= field->most))
        return error_set(error, STATUS_INVALID_ARGUMENT, "%s: %g is not from %g to %g", field->shown, number,
                         field->least, field->most);
    *(double *)((char *)into + field->offset) = number;
    return STATUS_OK;
}

enum status json_read_text(const struct json_field *field, const json_t *value, void *into,
                           struct error *error)
{
    if (!json_is_string(value))
        return refuse_kind(field, value, "a string", error);
    *(const char **)((char *)into + field->offset) = json_string_value(value);
    return STATUS_OK;
}

enum status json_refuse_but(const struct json_field *field, const json_t *value, void *into,
                            struct error *error)
{
    (void)into;
    if (json_is_number(value) && json_number_value(value) == field->least)
        return STATUS_OK;
    return error_set(error, STATUS_INVALID_ARGUMENT,
                     "%s: is not supported here; leave it out, or give %g, which changes nothing",
                     field->shown, field->least);
}

enum status json_refuse(const struct json_field *field, const json_t *value, void *into, struct error *error)
{
    (void)into;
    if ((json_is_object(value) && !json_object_size(value)) ||
        (json_is_array(value) && !json_array_size(value)))
        return STATUS_OK;
    return error_set(error, STATUS_INVALID_ARGUMENT, "%s: is not supported here; leave it out", field->shown);
}
