#ifndef MILLRACE_COMMON_MODEL_TENSORS_H
#define MILLRACE_COMMON_MODEL_TENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "common/dtype.h"
#include "common/model/config.h"
#include "common/status.h"

/*
 * The tensors of a model directory: model.safetensors, or else the shards named by
 * model.safetensors.index.json ({"weight_map": {"tensor": "file"}}), mapped read-only. Nothing is
 * copied: a rank's slice is read from the disk when it is first touched, and only that. Files must not be
 * shortened while they are open; to change a model, write a new directory.
 *
 * safetensors: u64 LE header size, a JSON header {"name": {"dtype","shape","data_offsets"}}, raw
 * little-endian data (https://huggingface.co/docs/safetensors). A file is outside input: header at most 16
 * MiB (a model of 1.7e9 parameters has 60 kB), offsets inside the file, not overlapping and without holes,
 * size = product(shape) * dtype, no name twice (also across shards), shards beside the index and holding
 * exactly the tensors it says.
 */
enum { TENSOR_RANK_MAX = 8 };

struct tensor {
    const char *name;
    enum dtype dtype;
    int n_dimensions;
    int64_t shape[TENSOR_RANK_MAX];
    const void *data; /* in the mapping; aligned to nothing that the format promises */
    size_t size_bytes;
    const char *file; /* the path it came from, for messages; owned by the set */
};

struct tensors; /* an open set; owns the mappings */

/* Opens all files of DIRECTORY. Errors name the file, the tensor and the reason. */
enum status tensors_open(const char *directory, struct tensors **tensors, struct error *error);
/* Opens one safetensors file. */
enum status tensors_open_file(const char *path, struct tensors **tensors, struct error *error);
/* Reads a set from memory that outlives it (tests, fuzzing). */
enum status tensors_open_memory(const void *bytes, size_t size_bytes, const char *where,
                                struct tensors **tensors, struct error *error);
void tensors_close(struct tensors *tensors); /* NULL is allowed */
/* Gives the memory back in which the bytes at data[size_bytes] of a file were seen. They may be read again,
 * from the file. */
void tensors_let_go(const struct tensors *tensors, const void *data, size_t size_bytes);

int tensors_count(const struct tensors *tensors);
int tensors_file_count(const struct tensors *tensors);
uint64_t tensors_file_bytes(const struct tensors *tensors);                /* of all files, headers counted */
const struct tensor *tensors_at(const struct tensors *tensors, int index); /* in the order of the files */
const struct tensor *tensors_sorted_at(const struct tensors *tensors,
                                       int index); /* in the order of the names */
/* NULL when there is no such tensor. */
const struct tensor *tensors_find(const struct tensors *tensors, const char *name);
/* "__metadata__" of the (first) file: the value of `key`, or NULL. */
const char *tensors_metadata(const struct tensors *tensors, const char *key);

/*
 * Opens DIRECTORY as the model that the config describes: takes the publisher's prefix from the names, leaves
 * out the buffers that are no weights (network.h), and checks the rest (tensors_check_model).
 */
enum status tensors_open_model(const char *directory, const struct model_config *config,
                               struct tensors **tensors, struct error *error);

/* The first two of these for a set that is open. INVALID_ARGUMENT: two names became one. */
enum status tensors_adopt(struct tensors *tensors, const struct model_config *config, struct error *error);

/* Checks that the set is exactly the model that the config describes: every tensor of its layout (layout.h;
 * only rotary_emb.inv_freq may be absent) with its shape and dtype F32, BF16 or F16, and no other tensor.
 * INVALID_ARGUMENT names the file, the tensor and the reason. */
enum status tensors_check_model(const struct tensors *tensors, const struct model_config *config,
                                struct error *error);

/* A fingerprint of config and tensors (names, dtypes, shapes, and a sample of at most 4 KiB of each tensor's
 * data): replicas and coordinator compare it. It tells models apart that were mixed up, not ones made to
 * deceive. The same whatever the shards, the order of the tensors in them, the model's name and its origin.
 * Writes 16 hexadecimal digits and a terminator. */
void tensors_fingerprint(const struct tensors *tensors, const struct model_config *config, char out[17]);

/* One tensor of a file that is being written. */
struct tensor_output {
    const char *name;
    enum dtype dtype;
    int n_dimensions;
    int64_t shape[TENSOR_RANK_MAX];
};
/* Streams a safetensors file: header first, then tensors_write_data for all tensors in the order given, each
 * in as many pieces as the caller likes, then close. The file appears under its name only at
 * tensors_write_close (written beside it, synced, renamed); closing with bytes missing, or writing too many,
 * is INVALID_ARGUMENT. */
struct tensors_writer;
enum status tensors_write_open(const char *path, const struct tensor_output *outputs, int n_outputs,
                               struct tensors_writer **writer, struct error *error);
enum status tensors_write_data(struct tensors_writer *writer, const void *data, size_t size_bytes,
                               struct error *error);
/* Frees the writer, also on failure; then nothing is left behind. */
enum status tensors_write_close(struct tensors_writer *writer, struct error *error);
void tensors_write_abandon(struct tensors_writer *writer); /* removes what was written; NULL is allowed */

#endif
