#include "worker/verify/family.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_ROOM = 4096 };

static bool has_weights(const char *directory)
{
    char path[PATH_ROOM + 32];
    snprintf(path, sizeof path, "%s/model.safetensors", directory);
    return access(path, R_OK) == 0;
}

/* Where the model lies: beside the vectors, or among the converted ones. */
static enum status find_model(const struct golden *golden, const char *model, char path[PATH_ROOM],
                              struct error *error)
{
    snprintf(path, PATH_ROOM, "%s/%s", golden->directory, model);
    if (has_weights(path))
        return STATUS_OK;
    snprintf(path, PATH_ROOM, "%s/%s", golden->converted ? golden->converted : ".", model);
    if (golden->converted && has_weights(path))
        return STATUS_OK;
    return error_set(error, STATUS_NOT_FOUND, "%s: needs the converter; `millrace verify` runs it", model);
}

enum status family_model_open(const struct golden *golden, const char *model, int n_texts, int length,
                              struct model *opened, struct error *error)
{
    char directory[PATH_ROOM];
    enum status status = find_model(golden, model, directory, error);
    status = collective_agree(golden->collective, status, error);
    const struct model_options options = {.directory = directory,
                                          .backend = golden->backend,
                                          .n_threads = golden->n_threads,
                                          .precision = golden->precision,
                                          .gpu = golden->gpu,
                                          .collective = golden->collective,
                                          .limits = {.max_sequences = n_texts, .max_rows = n_texts * length}};
    return status ? status : model_open(opened, &options, error);
}

const json_t *family_entry(const struct golden *golden, const char *section, const char *file,
                           const char *prefix)
{
    char name[256];
    const char *stem = file + strlen(prefix);
    snprintf(name, sizeof name, "%.*s", (int)(strlen(stem) - strlen(".safetensors")), stem);
    return golden_entry(golden, section, name);
}

const char *family_text_of(const json_t *entry, const char *key)
{
    return json_string_value(json_object_get(entry, key));
}

double family_number(const json_t *entry, const char *key, double otherwise)
{
    const json_t *value = json_object_get(entry, key);
    return json_is_number(value) ? json_number_value(value) : otherwise;
}
