#ifndef MILLRACE_COMMON_MODEL_SAFETENSORS_H
#define MILLRACE_COMMON_MODEL_SAFETENSORS_H

#include <jansson.h>
#include <stddef.h>

#include "common/model/tensors.h"

/* The tensors of one or more files; owns the names. */
struct tensor_list {
    struct tensor *items;
    int n, room;
};

/*
 * Checks one safetensors file in memory and appends its tensors in the order of their data. `file` is the
 * path that sentences begin with and tensors remember; it must outlive the list. *metadata is "__metadata__"
 * (a new reference) or NULL.
 */
enum status safetensors_parse(const void *bytes, size_t size_bytes, const char *file,
                              struct tensor_list *list, json_t **metadata, struct error *error);

void tensor_list_release(struct tensor_list *list);

#endif
