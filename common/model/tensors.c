#include "common/model/tensors.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/model/file.h"
#include "common/model/network.h"
#include "common/model/safetensors.h"
#include "common/model/shard_index.h"

struct tensors_file {
    char *path;
    struct file_mapping mapping; /* empty for a set in memory */
};

struct tensors {
    struct tensors_file *files;
    int n_files;
    uint64_t file_bytes;
    struct tensor_list list;
    const struct tensor **by_name; /* [list.n], sorted */
    json_t *metadata;              /* of the first file, or NULL */
};

void tensors_close(struct tensors *tensors)
{
    if (!tensors)
        return;
    json_decref(tensors->metadata);
    free(tensors->by_name);
    tensor_list_release(&tensors->list);
    for (int i = 0; i < tensors->n_files; i++) {
        file_unmap(&tensors->files[i].mapping);
        free(tensors->files[i].path);
    }
    free(tensors->files);
    free(tensors);
}

void tensors_let_go(const struct tensors *tensors, const void *data, size_t size_bytes)
{
    for (int i = 0; i < tensors->n_files; i++)
        file_let_go(&tensors->files[i].mapping, data, size_bytes);
}

/* An empty set with room for `n_files`. */
static struct tensors *set_create(int n_files)
{
    struct tensors *set = calloc(1, sizeof *set);
    if (set)
        set->files = calloc((size_t)n_files, sizeof *set->files);
    if (!set || !set->files) {
        free(set);
        return NULL;
    }
    return set;
}

static enum status add_bytes(struct tensors *set, const void *bytes, size_t size_bytes, const char *path,
                             struct error *error)
{
    json_t *metadata = NULL;
    enum status status = safetensors_parse(bytes, size_bytes, path, &set->list, &metadata, error);
    if (status)
        return status;
    set->file_bytes += size_bytes;
    if (set->n_files == 1)
        set->metadata = metadata;
    else
        json_decref(metadata);
    return STATUS_OK;
}

/* Takes `path`, which is malloc'ed. */
static enum status add_file(struct tensors *set, char *path, struct error *error)
{
    if (!path)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a path");
    struct tensors_file *file = &set->files[set->n_files++];
    file->path = path;
    enum status status = file_map(path, &file->mapping, error);
    return status ? status : add_bytes(set, file->mapping.bytes, file->mapping.size_bytes, path, error);
}

static int by_name(const void *left, const void *right)
{
    const struct tensor *const *a = left, *const *b = right;
    return strcmp((*a)->name, (*b)->name);
}

/* Sorts the index of names. A name in two shards is found here; within a file the JSON reader found it. */
static enum status index_names(struct tensors *set, struct error *error)
{
    const int n = set->list.n;
    set->by_name = calloc((size_t)n + 1, sizeof *set->by_name);
    if (!set->by_name)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the table of tensors");
    for (int i = 0; i < n; i++)
        set->by_name[i] = &set->list.items[i];
    qsort(set->by_name, (size_t)n, sizeof *set->by_name, by_name);
    for (int i = 1; i < n; i++)
        if (strcmp(set->by_name[i - 1]->name, set->by_name[i]->name) == 0)
            return error_set(error, STATUS_INVALID_ARGUMENT, "%s: tensor \"%s\" is also in %s",
                             set->by_name[i]->file, set->by_name[i]->name, set->by_name[i - 1]->file);
    return STATUS_OK;
}

/* Completes a set of which all files are added; frees it on failure. */
static enum status set_finish(struct tensors *set, enum status status, struct tensors **tensors,
                              struct error *error)
{
    if (!status)
        status = index_names(set, error);
    if (status) {
        tensors_close(set);
        return status;
    }
    *tensors = set;
    return STATUS_OK;
}

static enum status no_memory(const char *path, struct error *error)
{
    return error_set(error, STATUS_RESOURCE_EXHAUSTED, "%s: no memory", path);
}

enum status tensors_open_file(const char *path, struct tensors **tensors, struct error *error)
{
    struct tensors *set = set_create(1);
    if (!set)
        return no_memory(path, error);
    return set_finish(set, add_file(set, strdup(path), error), tensors, error);
}

enum status tensors_open_memory(const void *bytes, size_t size_bytes, const char *where,
                                struct tensors **tensors, struct error *error)
{
    struct tensors *set = set_create(1);
    char *path = strdup(where);
    if (!set || !path) {
        free(path);
        tensors_close(set);
        return no_memory(where, error);
    }
    set->files[set->n_files++].path = path;
    return set_finish(set, add_bytes(set, bytes, size_bytes, path, error), tensors, error);
}

/* Every tensor of the set is where the index says, and the index names no other. */
static enum status check_index(const struct tensors *set, const struct shard_index *index,
                               struct error *error)
{
    for (int i = 0; i < set->list.n; i++) {
        const struct tensor *tensor = &set->list.items[i];
        const char *shard = shard_index_find(index, tensor->name);
        if (!shard)
            return error_set(error, STATUS_INVALID_ARGUMENT, "%s: tensor \"%s\" is not in the index %s",
                             tensor->file, tensor->name, index->path);
        if (strcmp(strrchr(tensor->file, '/') + 1, shard) != 0)
            return error_set(error, STATUS_INVALID_ARGUMENT,
                             "%s: tensor \"%s\" should be in %s, as the index %s says", tensor->file,
                             tensor->name, shard, index->path);
    }
    for (int i = 0; i < index->n_tensors; i++)
        if (!tensors_find(set, index->tensors[i].name))
            return error_set(error, STATUS_INVALID_ARGUMENT, "%s: tensor \"%s\" is not in %s", index->path,
                             index->tensors[i].name, index->tensors[i].shard);
    return STATUS_OK;
}

static enum status open_shards(const char *directory, const struct shard_index *index,
                               struct tensors **tensors, struct error *error)
{
    struct tensors *set = set_create(index->n_shards);
    if (!set)
        return no_memory(directory, error);
    enum status status = STATUS_OK;
    for (int i = 0; i < index->n_shards && !status; i++)
        status = add_file(set, model_path(directory, index->shards[i]), error);
    struct tensors *finished;
    status = set_finish(set, status, &finished, error);
    if (status)
        return status;
    status = check_index(finished, index, error);
    if (status)
        tensors_close(finished);
    else
        *tensors = finished;
    return status;
}

/* A file of torch in place of the one that was looked for: says what to do. */
static enum status explain_missing(const char *directory, enum status status, struct error *error)
{
    char *torch = status == STATUS_NOT_FOUND ? model_path(directory, "pytorch_model.bin") : NULL;
    if (torch && access(torch, R_OK) == 0)
        error_set(error, status,
                  "%s: a file of torch cannot be mapped; make a model of it: millrace convert %s NEW",
                  directory, torch);
    free(torch);
    return status;
}

enum status tensors_open(const char *directory, struct tensors **tensors, struct error *error)
{
    enum status status = model_directory_check(directory, error);
    if (status)
        return status;
    struct shard_index index;
    status = shard_index_read(directory, &index, error);
    if (status == STATUS_OK) {
        status = open_shards(directory, &index, tensors, error);
        shard_index_release(&index);
        return status;
    }
    if (status != STATUS_NOT_FOUND)
        return status;
    char *path = model_path(directory, "model.safetensors");
    if (!path)
        return no_memory(directory, error);
    status = tensors_open_file(path, tensors, error);
    free(path);
    return explain_missing(directory, status, error);
}

/* Takes a publisher's prefix from the name, which is the list's own memory. */
static void strip(const char *name, const char *const *prefixes)
{
    for (; *prefixes; prefixes++) {
        const size_t n = strlen(*prefixes);
        if (strncmp(name, *prefixes, n) == 0 && name[n]) {
            memmove((char *)name, name + n, strlen(name + n) + 1);
            return;
        }
    }
}

static bool is_buffer(const char *name, const char *const *buffers)
{
    while (*buffers && strcmp(name, *buffers) != 0)
        buffers++;
    return *buffers;
}

enum status tensors_adopt(struct tensors *tensors, const struct model_config *config, struct error *error)
{
    const struct network *network = network_of(config->architecture);
    struct tensor_list *list = &tensors->list;
    int n = 0;
    for (int i = 0; i < list->n; i++) {
        strip(list->items[i].name, network->prefixes);
        if (is_buffer(list->items[i].name, network->buffers))
            free((char *)list->items[i].name);
        else
            list->items[n++] = list->items[i];
    }
    list->n = n;
    free(tensors->by_name);
    tensors->by_name = NULL;
    return index_names(tensors, error);
}

int tensors_count(const struct tensors *tensors)
{
    return tensors->list.n;
}

int tensors_file_count(const struct tensors *tensors)
{
    return tensors->n_files;
}

uint64_t tensors_file_bytes(const struct tensors *tensors)
{
    return tensors->file_bytes;
}

const struct tensor *tensors_at(const struct tensors *tensors, int index)
{
    return &tensors->list.items[index];
}

const struct tensor *tensors_sorted_at(const struct tensors *tensors, int index)
{
    return tensors->by_name[index];
}

const struct tensor *tensors_find(const struct tensors *tensors, const char *name)
{
    const struct tensor key = {.name = name}, *wanted = &key;
    const struct tensor *const *found =
        bsearch(&wanted, tensors->by_name, (size_t)tensors->list.n, sizeof *tensors->by_name, by_name);
    return found ? *found : NULL;
}

const char *tensors_metadata(const struct tensors *tensors, const char *key)
{
    return json_string_value(json_object_get(tensors->metadata, key));
}
