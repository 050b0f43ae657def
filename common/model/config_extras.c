#include "common/model/config_extras.h"

#include <string.h>

#include "common/model/network.h"

enum kind { YES, NO, WHOLE, REAL }; /* NO: a truth value whose field says the opposite */

#define OF(name) (1u << ARCHITECTURE_##name)

static const struct extra {
    const char *key;
    enum kind kind;
    size_t offset; /* of the field in struct model_config */
    unsigned architectures;
} extras[] = {
    {"time_conditioning", NO, offsetof(struct model_config, is_timeless), OF(MDLM) | OF(UDLM)},
    {"scale_by_sigma", NO, offsetof(struct model_config, is_unscaled), OF(SEDD)},
    {"classes", WHOLE, offsetof(struct model_config, n_classes), OF(UDLM)},
    {"adaln", NO, offsetof(struct model_config, is_unmodulated), OF(BD3LM)},
    {"block_size", WHOLE, offsetof(struct model_config, block_size), OF(BD3LM)},
    {"p_uniform", REAL, offsetof(struct model_config, p_uniform), OF(GIDD)},
    {"t_eps", REAL, offsetof(struct model_config, t_eps), OF(GIDD)},
};
enum { N_EXTRAS = sizeof extras / sizeof *extras };

static const char time_grid_key[] = "time_grid";

static bool has(enum architecture architecture, const struct extra *extra)
{
    return extra->architectures >> architecture & 1u;
}

static bool has_time_grid(enum architecture architecture)
{
    return network_of(architecture)->output != OUTPUT_FLOW;
}

bool config_extra_is_known(enum architecture architecture, const char *key)
{
    for (int i = 0; i < N_EXTRAS; i++)
        if (has(architecture, &extras[i]) && strcmp(extras[i].key, key) == 0)
            return true;
    return has_time_grid(architecture) && strcmp(key, time_grid_key) == 0;
}

static void *field_of(struct model_config *config, const struct extra *extra)
{
    return (char *)config + extra->offset;
}

static const void *const_field_of(const struct model_config *config, const struct extra *extra)
{
    return (const char *)config + extra->offset;
}

static enum status read_extra(json_t *object, const struct extra *extra, struct model_config *config,
                              struct error *error)
{
    static const char *const types[] = {
        [YES] = "true or false", [NO] = "true or false", [WHOLE] = "a whole number", [REAL] = "a number"};
    const json_t *value = json_object_get(object, extra->key);
    const bool right = extra->kind == WHOLE  ? json_is_integer(value)
                       : extra->kind == REAL ? json_is_number(value)
                                             : json_is_boolean(value);
    if (!value)
        return error_set(error, STATUS_INVALID_ARGUMENT, "key \"%s\" is missing; a %s model has it, %s",
                         extra->key, architecture_name(config->architecture), types[extra->kind]);
    if (!right)
        return error_set(error, STATUS_INVALID_ARGUMENT, "\"%s\" must be %s", extra->key, types[extra->kind]);
    if (extra->kind == REAL) {
        *(double *)field_of(config, extra) = json_number_value(value);
    } else if (extra->kind == WHOLE) {
        json_int_t whole = json_integer_value(value);
        *(int *)field_of(config, extra) = whole < -1 || whole > INT32_MAX ? -1 : (int)whole;
    } else {
        *(bool *)field_of(config, extra) = json_is_true(value) == (extra->kind == YES);
    }
    return STATUS_OK;
}

static enum status read_time_grid(json_t *object, struct model_config *config, struct error *error)
{
    json_t *grid = json_object_get(object, time_grid_key);
    if (!grid)
        return STATUS_OK;
    if (!json_is_array(grid) || json_array_size(grid) < 2 || json_array_size(grid) > TIME_GRID_MAX)
        return error_set(error, STATUS_INVALID_ARGUMENT, "\"%s\" must be a list of 2 to %d numbers",
                         time_grid_key, TIME_GRID_MAX);
    config->n_time_grid = (int)json_array_size(grid);
    for (int i = 0; i < config->n_time_grid; i++) {
        const json_t *number = json_array_get(grid, (size_t)i);
        if (!json_is_number(number))
            return error_set(error, STATUS_INVALID_ARGUMENT, "\"%s\"[%d] must be a number", time_grid_key, i);
        config->time_grid[i] = json_number_value(number);
    }
    return STATUS_OK;
}

enum status config_extras_read(json_t *object, struct model_config *config, struct error *error)
{
    enum status status = STATUS_OK;
    for (int i = 0; i < N_EXTRAS && !status; i++)
        if (has(config->architecture, &extras[i]))
            status = read_extra(object, &extras[i], config, error);
    if (!status && has_time_grid(config->architecture))
        status = read_time_grid(object, config, error);
    return status;
}

static enum status check_time_grid(const struct model_config *config, struct error *error)
{
    const int n = config->n_time_grid;
    if (n == 0)
        return STATUS_OK;
    bool rises = n >= 2 && n <= TIME_GRID_MAX && config->time_grid[0] == 0 && config->time_grid[n - 1] == 1;
    for (int i = 1; i < n && rises; i++)
        rises = config->time_grid[i] > config->time_grid[i - 1];
    if (rises)
        return STATUS_OK;
    return error_set(error, STATUS_INVALID_ARGUMENT,
                     "\"%s\" must rise from 0 to 1 in 2 to %d numbers, each above the one before",
                     time_grid_key, TIME_GRID_MAX);
}

enum status config_extras_check(const struct model_config *config, struct error *error)
{
    enum { CLASSES_MAX = 1 << 16 };
    const enum architecture architecture = config->architecture;
    if (config->n_classes < 0 || config->n_classes > CLASSES_MAX)
        return error_set(error, STATUS_INVALID_ARGUMENT, "\"classes\" is %d; it must be 0 to %d",
                         config->n_classes, CLASSES_MAX);
    if (architecture == ARCHITECTURE_BD3LM &&
        (config->block_size < 1 || config->block_size > config->max_length))
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "\"block_size\" is %d; it must be 1 to the longest text, %d", config->block_size,
                         config->max_length);
    if (architecture == ARCHITECTURE_GIDD && !(config->p_uniform >= 0 && config->p_uniform < 1))
        return error_set(error, STATUS_INVALID_ARGUMENT, "\"p_uniform\" is %g; it must be 0 to below 1",
                         config->p_uniform);
    if (architecture == ARCHITECTURE_GIDD && !(config->t_eps > 0 && config->t_eps < 0.5))
        return error_set(error, STATUS_INVALID_ARGUMENT, "\"t_eps\" is %g; it must be above 0 and below 0.5",
                         config->t_eps);
    return check_time_grid(config, error);
}

static json_t *value_of(const struct model_config *config, const struct extra *extra)
{
    const void *field = const_field_of(config, extra);
    if (extra->kind == REAL)
        return json_real(*(const double *)field);
    if (extra->kind == WHOLE)
        return json_integer(*(const int *)field);
    return json_boolean(*(const bool *)field == (extra->kind == YES));
}

bool config_extras_write(json_t *object, const struct model_config *config)
{
    bool written = true;
    for (int i = 0; i < N_EXTRAS; i++)
        if (has(config->architecture, &extras[i]))
            written &= json_object_set_new(object, extras[i].key, value_of(config, &extras[i])) == 0;
    if (config->n_time_grid == 0)
        return written;
    json_t *grid = json_array();
    for (int i = 0; i < config->n_time_grid; i++)
        written &= json_array_append_new(grid, json_real(config->time_grid[i])) == 0;
    return json_object_set_new(object, time_grid_key, grid) == 0 && written;
}
