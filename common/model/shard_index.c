#include "common/model/shard_index.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/model/file.h"

enum { INDEX_BYTES_MAX = 16 << 20, SHARDS_MAX = 1024, SHARD_NAME_MAX = 255 };

void shard_index_release(struct shard_index *index)
{
    free(index->path);
    json_decref(index->weight_map);
    free(index->tensors);
    free(index->shards);
    *index = (struct shard_index){0};
}

/* A file beside the index: no directory, no "..", and what it must end with. */
static bool plain_shard_name(const char *name)
{
    static const char ending[] = ".safetensors";
    const size_t length = strlen(name), n = sizeof ending - 1;
    return length > n && length <= SHARD_NAME_MAX && name[0] != '.' && !strchr(name, '/') &&
           strcmp(name + length - n, ending) == 0;
}

static int compare_text(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* Sorts the names of the files and keeps each once. */
static enum status collect_shards(struct shard_index *index, struct error *error)
{
    index->shards = calloc((size_t)index->n_tensors, sizeof *index->shards);
    if (!index->shards)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the index");
    for (int i = 0; i < index->n_tensors; i++)
        index->shards[i] = index->tensors[i].shard;
    qsort(index->shards, (size_t)index->n_tensors, sizeof *index->shards, compare_text);
    for (int i = 0; i < index->n_tensors; i++)
        if (i == 0 || strcmp(index->shards[i], index->shards[index->n_shards - 1]) != 0)
            index->shards[index->n_shards++] = index->shards[i];
    if (index->n_shards > SHARDS_MAX)
        return error_set(error, STATUS_INVALID_ARGUMENT, "names %d files; at most %d are opened",
                         index->n_shards, SHARDS_MAX);
    return STATUS_OK;
}

static enum status collect_tensors(struct shard_index *index, struct error *error)
{
    if (!json_is_object(index->weight_map) || json_object_size(index->weight_map) == 0)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "\"weight_map\" must be an object with a file for each tensor");
    index->tensors = calloc(json_object_size(index->weight_map), sizeof *index->tensors);
    if (!index->tensors)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the index");
    const char *name;
    json_t *value;
    json_object_foreach(index->weight_map, name, value)
    {
        const char *shard = json_string_value(value);
        if (!shard || !plain_shard_name(shard))
            return error_set(
                error, STATUS_INVALID_ARGUMENT,
                "tensor \"%.64s\" is said to be in \"%.64s\"; it must be a file beside the index whose "
                "name ends in .safetensors",
                name, shard ? shard : "(not a string)");
        index->tensors[index->n_tensors++] = (struct shard_of){name, shard};
    }
    return collect_shards(index, error);
}

static enum status parse(struct shard_index *index, const char *json, size_t size_bytes, struct error *error)
{
    json_error_t why;
    json_t *object = json_loadb(json, size_bytes, JSON_REJECT_DUPLICATES, &why);
    if (!object)
        return error_set(error, STATUS_INVALID_ARGUMENT, "line %d, column %d: %s", why.line, why.column,
                         why.text);
    index->weight_map = json_incref(json_object_get(object, "weight_map"));
    json_decref(object);
    return collect_tensors(index, error);
}

static enum status refuse_both(const char *directory, struct error *error)
{
    char *single = model_path(directory, "model.safetensors");
    const bool both = single && access(single, F_OK) == 0;
    free(single);
    if (!both)
        return STATUS_OK;
    return error_set(
        error, STATUS_FAILED_PRECONDITION,
        "%s: has both model.safetensors and model.safetensors.index.json; remove the one that is not meant",
        directory);
}

enum status shard_index_read(const char *directory, struct shard_index *index, struct error *error)
{
    *index = (struct shard_index){.path = model_path(directory, "model.safetensors.index.json")};
    if (!index->path)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "%s: no memory", directory);
    char *json = NULL;
    size_t size_bytes;
    enum status status = file_read(index->path, FILE_REGULAR, INDEX_BYTES_MAX, &json, &size_bytes, error);
    if (!status)
        status = refuse_both(directory, error);
    if (!status) {
        status = parse(index, json, size_bytes, error);
        if (status)
            error_prefix(error, "%s", index->path);
    }
    free(json);
    if (status)
        shard_index_release(index);
    return status;
}

const char *shard_index_find(const struct shard_index *index, const char *name)
{
    return json_string_value(json_object_get(index->weight_map, name));
}
