#ifndef MILLRACE_WORKER_VERIFY_GOLDEN_H
#define MILLRACE_WORKER_VERIFY_GOLDEN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/model/tensors.h"
#include "worker/collective/collective.h"

/*
 * A directory of golden vectors: results of the reference implementation, recorded once. manifest.json lists
 * the models, files and trajectories. Every *.safetensors holds inputs and outputs of one kind. This code
 * assumes nothing about their sizes, names or number.
 */
struct golden {
    const char *directory;
    const char *converted; /* model directories that were made of the directory's checkpoints; NULL: none */
    json_t *manifest;
    const char *backend; /* as in struct model_options, as the next two */
    enum precision precision;
    int gpu;
    int n_threads;
    struct collective *collective; /* the ranks under test; not owned */
};

/* Reads DIRECTORY/manifest.json into golden->manifest. */
enum status golden_open(struct golden *golden, struct error *error);
void golden_close(struct golden *golden);

/* manifest[section][name], or NULL. Borrowed. */
const json_t *golden_entry(const struct golden *golden, const char *section, const char *name);

/* The numbers of a tensor in double precision, which represents float32 and token ids exactly. */
struct array {
    char *name;
    int n_dimensions;
    int64_t shape[TENSOR_RANK_MAX], n;
    double *x; /* [n] */
    struct array *next;
};

struct golden_file {
    const char *name; /* without the directory; not owned */
    struct tensors *tensors;
    struct array *arrays; /* those that were asked for */
    struct error error;   /* the first thing that a golden_array did not find; status 0: none */
};

enum status golden_file_open(struct golden_file *file, const struct golden *golden, const char *name,
                             struct error *error);
void golden_file_close(struct golden_file *file);

/* The tensor of that name, or NULL. It lives as long as the file is open. */
const struct array *golden_find(struct golden_file *file, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The same for a tensor that must be there with this shape (-1: any extent). Otherwise returns NULL and keeps
 * the first reason in file->error, so that a caller asks for all that it needs and looks once. */
const struct array *golden_array(struct golden_file *file, int n_dimensions, const int64_t *shape,
                                 const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Copies file->error and returns its status. */
enum status golden_file_error(const struct golden_file *file, struct error *error);

/* Checks that every number is a token id in [0, n_ids). */
enum status golden_check_ids(const struct golden_file *file, const struct array *ids, int n_ids,
                             struct error *error);

/* A setting of the file: from the manifest's entry for the file in `section`, else from the file's own
 * metadata. A new reference or NULL. */
json_t *golden_setting(const struct golden *golden, const struct golden_file *file, const char *section,
                       const char *entry, const char *key);

/* Whether `name` begins with `prefix`, and whether it ends with `suffix`. */
bool name_begins(const char *name, const char *prefix);
bool name_ends(const char *name, const char *suffix);

#endif
