#include "common/tokenizer/steps.h"

#include <string.h>

enum { STEPS_MAX = 64 };

struct visit {
    const char *list;
    step_function *function;
    void *context;
    int n;
};

static enum status visit_step(struct visit *visit, json_t *step, struct error *error)
{
    const char *type = json_string_value(json_object_get(step, "type"));
    if (!step || json_is_null(step))
        return STATUS_OK;
    if (!type)
        return error_set(error, STATUS_INVALID_ARGUMENT, "a step has no type");
    json_t *list = json_object_get(step, visit->list), *inner;
    size_t index;
    if (strcmp(type, "Sequence") != 0 || !json_is_array(list)) {
        if (++visit->n > STEPS_MAX)
            return error_set(error, STATUS_INVALID_ARGUMENT, "more than %d steps are not supported",
                             STEPS_MAX);
        enum status status = visit->function(visit->context, step, type, error);
        return status;
    }
    enum status status = STATUS_OK;
    json_array_foreach(list, index, inner)
    {
        if (status == STATUS_OK)
            status = visit_step(visit, inner, error);
    }
    return status;
}

enum status steps_visit(json_t *root, const char *stage, const char *list, step_function *function,
                        void *context, struct error *error)
{
    struct visit visit = {list, function, context, 0};
    enum status status = visit_step(&visit, json_object_get(root, stage), error);
    return status == STATUS_OK ? status : error_prefix(error, "%s", stage);
}

enum status step_refuse(const char *type, struct error *error)
{
    return error_set(error, STATUS_INVALID_ARGUMENT, "%.60s is not supported", type);
}

enum status step_check_keys(json_t *step, const char *const *known, struct error *error)
{
    const char *key;
    json_t *value;
    json_object_foreach(step, key, value)
    {
        const char *const *name = known;
        while (*name && strcmp(*name, key) != 0)
            name++;
        if (!*name && strcmp(key, "type") != 0 && !json_is_null(value))
            return error_set(error, STATUS_INVALID_ARGUMENT, "%.60s: this key is not supported", key);
    }
    return STATUS_OK;
}

enum status step_boolean(json_t *step, const char *key, int fallback, bool *out, struct error *error)
{
    json_t *value = json_object_get(step, key);
    if (!value && fallback >= 0) {
        *out = fallback;
        return STATUS_OK;
    }
    if (!json_is_boolean(value))
        return error_set(error, STATUS_INVALID_ARGUMENT, "%s: %smust be true or false", key,
                         value ? "" : "missing; ");
    *out = json_is_true(value);
    return STATUS_OK;
}

enum status step_string(json_t *step, const char *key, const char **out, struct error *error)
{
    *out = json_string_value(json_object_get(step, key));
    return *out ? STATUS_OK : error_set(error, STATUS_INVALID_ARGUMENT, "%s: must be a text", key);
}
