#ifndef MILLRACE_COMMON_MODEL_TENSORS_H
#define MILLRACE_COMMON_MODEL_TENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "common/dtype.h"
#include "common/model/config.h"
#include "common/status.h"

/*
 * The tensors of a model directory: model.safetensors, or shards named by
 * model.safetensors.index.json ({"weight_map": {"tensor": "file"}}), mapped read-only. Nothing is
 * copied: a rank's slice is read from the disk when it is first touched, and only that.
 *
 * safetensors: u64 LE header size, a JSON header {"name": {"dtype","shape","data_offsets"}}, raw little-endian data
 * (https://huggingface.co/docs/safetensors). A file is outside input: header at most 100 MB, offsets inside the
 * file, not overlapping and without holes, size = product(shape) * dtype, no name twice (also across shards).
 */
enum { TENSOR_RANK_MAX = 8 };

struct tensor {
    const char *name;
    enum dtype dtype;
    int n_dimensions;
    int64_t shape[TENSOR_RANK_MAX];
    const void *data; /* in the mapping */
    size_t size_bytes;
};

struct tensors; /* an open set; owns the mappings */

/* Opens all files of DIRECTORY. Errors name the file, the tensor and the reason. */
enum status tensors_open(const char *directory, struct tensors **tensors, struct error *error);
/* Opens one safetensors file. */
enum status tensors_open_file(const char *path, struct tensors **tensors, struct error *error);
/* Reads a set from memory that outlives it (tests, fuzzing). */
enum status tensors_open_memory(const void *bytes, size_t size_bytes, const char *where, struct tensors **tensors,
                                struct error *error);
void tensors_close(struct tensors *tensors); /* NULL is allowed */

int tensors_count(const struct tensors *tensors);
const struct tensor *tensors_at(const struct tensors *tensors, int index); /* in the order of the files */
/* NULL when there is no such tensor. */
const struct tensor *tensors_find(const struct tensors *tensors, const char *name);
/* "__metadata__" of the (first) file: the value of `key`, or NULL. */
const char *tensors_metadata(const struct tensors *tensors, const char *key);

/* Checks that the set is exactly the model that the config says: every tensor of the reference's names
 * (spec, Tensors; rotary_emb.inv_freq may be absent) with its shape and a floating dtype F32, BF16 or F16, and no other. */
enum status tensors_check_model(const struct tensors *tensors, const struct model_config *config, struct error *error);

/* A fingerprint of config and tensors (names, dtypes, shapes, sizes, and a sample of the data of each tensor): replicas
 * and coordinator compare it. Writes 16 hexadecimal digits and a terminator. */
void tensors_fingerprint(const struct tensors *tensors, const struct model_config *config, char out[17]);

/* One tensor of a file that is being written; data is read from `data` in one go. */
struct tensor_output {
    const char *name;
    enum dtype dtype;
    int n_dimensions;
    int64_t shape[TENSOR_RANK_MAX];
};
/* Streams a safetensors file: header first, then tensors_write_data for each tensor in the order given, then close.
 * The file appears under its name only at tensors_write_close (written beside it, synced, renamed). */
struct tensors_writer;
enum status tensors_write_open(const char *path, const struct tensor_output *outputs, int n_outputs,
                               struct tensors_writer **writer, struct error *error);
enum status tensors_write_data(struct tensors_writer *writer, const void *data, size_t size_bytes, struct error *error);
enum status tensors_write_close(struct tensors_writer *writer, struct error *error); /* frees the writer, also on failure */
void tensors_write_abandon(struct tensors_writer *writer);                           /* removes what was written; NULL is allowed */

#endif
