#include "worker/verify/golden_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/model/layout.h"
#include "common/temporary.h"

enum { PATH_ROOM = 4096 };

const char *golden_weights(const struct golden *golden, const char *model, const char *network)
{
    char key[128];
    const json_t *entry = golden_entry(golden, "models", model);
    const json_t *single = json_object_get(entry, "weights");
    snprintf(key, sizeof key, "weights_%s", network);
    return json_string_value(single ? single : json_object_get(entry, key));
}

static bool owns(json_t *model, const char *weights)
{
    const char *key;
    json_t *value;
    json_object_foreach(model, key, value)
    {
        if (name_begins(key, "weights") && json_is_string(value) &&
            !strcmp(json_string_value(value), weights))
            return true;
    }
    return false;
}

const char *golden_model_of(const struct golden *golden, const char *weights)
{
    const char *name;
    json_t *model;
    json_object_foreach(json_object_get(golden->manifest, "models"), name, model)
    {
        if (owns(model, weights))
            return name;
    }
    return NULL;
}

/* Checks that the entry has the values that this engine fixes as part of its architecture. */
static enum status check_constants(const json_t *entry, struct error *error)
{
    static const struct {
        const char *key;
        double value;
    } constants[] = {{"mlp_ratio", 4}, {"freq_dim", 256}, {"rope_base", 10000}, {"ln_eps", 1e-5}};
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++) {
        const json_t *value = json_object_get(entry, constants[i].key);
        if (value && fabs(json_number_value(value) / constants[i].value - 1) > 1e-6)
            return error_set(error, STATUS_INVALID_ARGUMENT, "%s is %g; the models that run here have %g",
                             constants[i].key, json_number_value(value), constants[i].value);
    }
    return STATUS_OK;
}

static int whole(const json_t *entry, const char *key)
{
    return (int)json_integer_value(json_object_get(entry, key));
}

/* A student has a second time embedding, for the step size. */
static enum status is_student(const char *path, bool *student, struct error *error)
{
    struct tensors *tensors;
    enum status status = tensors_open_file(path, &tensors, error);
    if (status != STATUS_OK)
        return status;
    struct model_tensor step;
    const struct model_config any = {.architecture = ARCHITECTURE_FS_DFM};
    *student = model_layout_find(&any, ROLE_STEP_IN, -1, &step) && tensors_find(tensors, step.name);
    tensors_close(tensors);
    return STATUS_OK;
}

static enum status config_of(const struct golden *golden, const char *model, const char *weights_path,
                             struct golden_load load, struct model_config *config, struct error *error)
{
    const json_t *entry = golden_entry(golden, "models", model);
    bool student, masked = json_is_true(json_object_get(entry, "masked"));
    if (!entry)
        return error_set(error, STATUS_INVALID_ARGUMENT, "manifest.json has no model \"%s\"", model);
    enum status status = check_constants(entry, error);
    if (status == STATUS_OK)
        status = is_student(weights_path, &student, error);
    if (status != STATUS_OK)
        return status;
    int length = whole(entry, "length") > load.length ? whole(entry, "length") : load.length;
    *config = (struct model_config){
        .architecture = student ? ARCHITECTURE_FS_DFM : ARCHITECTURE_DFM,
        .source = masked ? SOURCE_MASK : SOURCE_UNIFORM,
        .vocabulary = whole(entry, "vocab_size"),
        .hidden = whole(entry, "hidden_size"),
        .n_heads = whole(entry, "n_heads"),
        .n_blocks = whole(entry, "n_blocks"),
        .condition = whole(entry, "cond_dim"),
        .scheduler_exponent = load.exponent,
        .trained_length = length,
        .max_length = length,
        .default_steps = 8,
        .max_steps = 1024,
    };
    snprintf(config->name, sizeof config->name, "%s", model);
    status = model_config_complete(config, error);
    const json_t *mask = json_object_get(entry, "mask_token");
    if (status == STATUS_OK && mask && json_integer_value(mask) != config->mask_token)
        return error_set(error, STATUS_INVALID_ARGUMENT, "mask_token is %lld; here it is %d",
                         (long long)json_integer_value(mask), config->mask_token);
    return status;
}

static enum status make_directory(char directory[TEMPORARY_ROOM], const char *weights,
                                  const struct model_config *config, struct error *error)
{
    char link[PATH_ROOM];
    enum status status = temporary_directory(directory, "verify", error);
    if (status != STATUS_OK)
        return status;
    snprintf(link, sizeof link, "%s/model.safetensors", directory);
    if (symlink(weights, link) != 0)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "cannot make %s", link);
    return model_config_write(directory, config, NULL, error);
}

static void remove_directory(const char *directory)
{
    static const char *const files[] = {"model.safetensors", "config.json"};
    char path[PATH_ROOM];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/%s", directory, files[i]);
        unlink(path);
    }
    rmdir(directory);
}

enum status golden_model_open(const struct golden *golden, const char *model, const char *weights,
                              struct golden_load load, struct model *opened, struct error *error)
{
    char directory[TEMPORARY_ROOM] = "", path[PATH_ROOM], *whole_path;
    struct model_config config = {0};
    snprintf(path, sizeof path, "%s/%s", golden->directory, weights);
    whole_path = realpath(path, NULL);
    enum status status = whole_path ? config_of(golden, model, whole_path, load, &config, error)
                                    : error_set(error, STATUS_NOT_FOUND, "%s is not there", path);
    if (status == STATUS_OK)
        status = make_directory(directory, whole_path, &config, error);
    status = collective_agree(golden->collective, status, error);
    const struct model_options options = {
        .directory = directory,
        .backend = golden->backend,
        .n_threads = golden->n_threads,
        .precision = golden->precision,
        .gpu = golden->gpu,
        .collective = golden->collective,
        .limits = {.max_sequences = load.n_sequences, .max_rows = load.n_sequences * config.max_length}};
    if (status == STATUS_OK)
        status = model_open(opened, &options, error);
    remove_directory(directory);
    free(whole_path);
    return status;
}
