#ifndef MILLRACE_COMMON_MODEL_SHARD_INDEX_H
#define MILLRACE_COMMON_MODEL_SHARD_INDEX_H

#include <jansson.h>

#include "common/status.h"

/* model.safetensors.index.json: {"metadata": {...}, "weight_map": {"tensor": "file"}}. */
struct shard_index {
    char *path;
    json_t *weight_map;
    struct shard_of {
        const char *name, *shard; /* owned by weight_map */
    } * tensors;
    int n_tensors;
    const char **shards; /* each file once, sorted; plain names, checked */
    int n_shards;
};

/*
 * Reads the index of DIRECTORY. NOT_FOUND: there is none. FAILED_PRECONDITION: there is a model.safetensors
 * too, and nothing says which one is meant. INVALID_ARGUMENT: the index is malformed, or names a file outside
 * the directory.
 */
enum status shard_index_read(const char *directory, struct shard_index *index, struct error *error);
void shard_index_release(struct shard_index *index);

/* The file that holds `name`, or NULL. */
const char *shard_index_find(const struct shard_index *index, const char *name);

#endif
