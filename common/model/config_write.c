#include "common/model/config.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/model/config_extras.h"
#include "common/model/file.h"
#include "common/model/network.h"
#include "common/new_file.h"

/* 1 rather than 1.0, as a person would type it. */
static json_t *exponent_json(double exponent)
{
    return exponent == floor(exponent) ? json_integer((json_int_t)exponent) : json_real(exponent);
}

static json_t *scheduler_json(const struct model_config *config)
{
    const enum noise noise = network_of(config->architecture)->noise;
    if (noise != NOISE_POLYNOMIAL)
        return json_pack("{s:s}", "type", noise_name(noise));
    return json_pack("{s:s, s:o}", "type", noise_name(noise), "exponent",
                     exponent_json(config->scheduler_exponent));
}

static json_t *config_json(const struct model_config *config)
{
    const bool is_usual = config->default_solver == network_of(config->architecture)->default_solver;
    return json_pack("{s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:s, s:o, s:i, s:i, s:i, s:i, s:s*}",       //
                     "format", "millrace-1", "name", config->name,                                         //
                     "architecture", architecture_name(config->architecture),                              //
                     "vocabulary", config->vocabulary, "hidden", config->hidden,                           //
                     "heads", config->n_heads, "blocks", config->n_blocks, "condition", config->condition, //
                     "source", source_name(config->source),                                                //
                     "scheduler", scheduler_json(config),                                                  //
                     "trained_length", config->trained_length, "max_length", config->max_length,           //
                     "default_steps", config->default_steps, "max_steps", config->max_steps,               //
                     "default_solver", is_usual ? NULL : solver_name(config->default_solver));
}

static enum status write_text(const char *path, const char *text, size_t size_bytes, struct error *error)
{
    struct new_file *file;
    enum status status = new_file_create(path, &file, error);
    if (status)
        return status;
    status = new_file_write(file, text, size_bytes, error);
    if (!status)
        status = new_file_write(file, "\n", 1, error);
    if (status) {
        new_file_abandon(file);
        return status;
    }
    return new_file_commit(file, error);
}

static enum status add_origin(json_t *object, const char *origin_json, struct error *error)
{
    if (!origin_json)
        return STATUS_OK;
    json_error_t why;
    json_t *origin = json_loads(origin_json, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(origin)) {
        json_decref(origin);
        return error_set(error, STATUS_INVALID_ARGUMENT, "\"origin\" must be a JSON object: %s",
                         origin ? "it is of another type" : why.text);
    }
    if (json_object_set_new(object, "origin", origin) != 0)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory");
    return STATUS_OK;
}

enum status model_config_write(const char *directory, const struct model_config *config,
                               const char *origin_json, struct error *error)
{
    struct model_config complete = *config;
    enum status status = model_config_complete(&complete, error);
    if (status)
        return status;
    char *path = model_path(directory, "config.json"), *text = NULL;
    json_t *object = config_json(&complete);
    if (!path || !object || !config_extras_write(object, &complete))
        status = error_set(error, STATUS_RESOURCE_EXHAUSTED, "%s: no memory", directory);
    if (!status)
        status = add_origin(object, origin_json, error);
    if (!status && !(text = json_dumps(object, JSON_INDENT(2))))
        status = error_set(error, STATUS_RESOURCE_EXHAUSTED, "%s: no memory", directory);
    if (!status)
        status = write_text(path, text, strlen(text), error);
    free(text);
    json_decref(object);
    free(path);
    return status;
}
