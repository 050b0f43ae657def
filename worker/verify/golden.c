#include "worker/verify/golden.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_ROOM = 4096, NAME_ROOM = 256 };

bool name_begins(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

bool name_ends(const char *name, const char *suffix)
{
    size_t length = strlen(name), tail = strlen(suffix);
    return length >= tail && strcmp(name + length - tail, suffix) == 0;
}

enum status golden_open(struct golden *golden, struct error *error)
{
    char path[PATH_ROOM];
    json_error_t reason;
    snprintf(path, sizeof path, "%s/manifest.json", golden->directory);
    golden->manifest = json_load_file(path, JSON_REJECT_DUPLICATES, &reason);
    if (golden->manifest)
        return STATUS_OK;
    return error_set(error, STATUS_NOT_FOUND, "%s: %s, line %d; a directory of golden vectors has one", path,
                     reason.text, reason.line);
}

void golden_close(struct golden *golden)
{
    json_decref(golden->manifest);
    golden->manifest = NULL;
}

const json_t *golden_entry(const struct golden *golden, const char *section, const char *name)
{
    return json_object_get(json_object_get(golden->manifest, section), name);
}

enum status golden_file_open(struct golden_file *file, const struct golden *golden, const char *name,
                             struct error *error)
{
    char path[PATH_ROOM];
    *file = (struct golden_file){.name = name};
    snprintf(path, sizeof path, "%s/%s", golden->directory, name);
    return tensors_open_file(path, &file->tensors, error);
}

void golden_file_close(struct golden_file *file)
{
    while (file->arrays) {
        struct array *array = file->arrays;
        file->arrays = array->next;
        free(array->name);
        free(array->x);
        free(array);
    }
    tensors_close(file->tensors);
    *file = (struct golden_file){0};
}

static double element(const struct tensor *tensor, size_t i)
{
    const char *at = (const char *)tensor->data + i * dtype_bytes(tensor->dtype);
    double real;
    float single;
    int64_t whole;
    int32_t half;
    switch (tensor->dtype) {
    case DTYPE_F64:
        return memcpy(&real, at, sizeof real), real;
    case DTYPE_I64:
        return memcpy(&whole, at, sizeof whole), (double)whole;
    case DTYPE_I32:
        return memcpy(&half, at, sizeof half), half;
    case DTYPE_U8:
    case DTYPE_BOOL:
        return *(const unsigned char *)at;
    default:
        return dtype_to_float(tensor->dtype, at, 1, &single), (double)single;
    }
}

static const struct array *add_array(struct golden_file *file, const struct tensor *tensor)
{
    struct array *array = calloc(1, sizeof *array);
    if (!array)
        return NULL;
    array->n_dimensions = tensor->n_dimensions;
    memcpy(array->shape, tensor->shape, sizeof array->shape);
    array->n = (int64_t)(tensor->size_bytes / dtype_bytes(tensor->dtype));
    array->name = strdup(tensor->name);
    array->x = malloc((size_t)(array->n ? array->n : 1) * sizeof *array->x);
    if (!array->name || !array->x) {
        free(array->name);
        free(array->x);
        free(array);
        return NULL;
    }
    for (int64_t i = 0; i < array->n; i++)
        array->x[i] = element(tensor, (size_t)i);
    array->next = file->arrays;
    return file->arrays = array;
}

static const struct array *find(struct golden_file *file, const char *name)
{
    for (const struct array *array = file->arrays; array; array = array->next)
        if (!strcmp(array->name, name))
            return array;
    const struct tensor *tensor = tensors_find(file->tensors, name);
    return tensor ? add_array(file, tensor) : NULL;
}

const struct array *golden_find(struct golden_file *file, const char *format, ...)
{
    char name[NAME_ROOM];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
    return find(file, name);
}

static bool has_shape(const struct array *array, int n_dimensions, const int64_t *shape)
{
    if (array->n_dimensions != n_dimensions)
        return false;
    for (int i = 0; i < n_dimensions; i++)
        if (shape[i] >= 0 && array->shape[i] != shape[i])
            return false;
    return true;
}

const struct array *golden_array(struct golden_file *file, int n_dimensions, const int64_t *shape,
                                 const char *format, ...)
{
    char name[NAME_ROOM];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
    const struct array *array = find(file, name);
    if (array && has_shape(array, n_dimensions, shape))
        return array;
    if (file->error.status == STATUS_OK && array)
        error_set(&file->error, STATUS_INVALID_ARGUMENT,
                  "%s: has another shape than the rest of the file says", name);
    else if (file->error.status == STATUS_OK)
        error_set(&file->error, STATUS_INVALID_ARGUMENT, "%s: no such tensor", name);
    return NULL;
}

enum status golden_file_error(const struct golden_file *file, struct error *error)
{
    *error = file->error;
    return error->status;
}

enum status golden_check_ids(const struct golden_file *file, const struct array *ids, int n_ids,
                             struct error *error)
{
    for (int64_t i = 0; i < ids->n; i++)
        if (!(ids->x[i] >= 0 && ids->x[i] < n_ids))
            return error_set(error, STATUS_INVALID_ARGUMENT, "%s: %s[%lld] is %g, no token of the %d",
                             file->name, ids->name, (long long)i, ids->x[i], n_ids);
    return STATUS_OK;
}

json_t *golden_setting(const struct golden *golden, const struct golden_file *file, const char *section,
                       const char *entry, const char *key)
{
    json_t *value = json_object_get(golden_entry(golden, section, entry), key);
    if (value)
        return json_incref(value);
    const char *text = tensors_metadata(file->tensors, key);
    if (!text)
        return NULL;
    value = json_loads(text, JSON_DECODE_ANY, NULL); /* metadata are texts: JSON, or a bare word */
    return value ? value : json_string(text);
}
