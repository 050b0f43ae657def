#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/model/tensors.h"
#include "common/new_file.h"

enum { DATA_ALIGNMENT = 64 }; /* the data begins at a multiple of it, as the mapping does at a page */

struct tensors_writer {
    struct new_file *file;
    char *path;
    size_t missing_bytes; /* of the data */
};

/* Adds one entry behind *offset and moves it on. */
static enum status add_entry(json_t *header, const struct tensor_output *output, size_t *offset,
                             struct error *error)
{
    size_t size_bytes = dtype_bytes(output->dtype), end;
    json_t *shape = json_array();
    for (int i = 0; i < output->n_dimensions; i++) {
        json_array_append_new(shape, json_integer(output->shape[i]));
        if (output->shape[i] < 0 || __builtin_mul_overflow(size_bytes, (size_t)output->shape[i], &size_bytes))
            goto overflow;
    }
    if (__builtin_add_overflow(*offset, size_bytes, &end) || end > INT64_MAX)
        goto overflow;
    json_t *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtype_name(output->dtype), "shape", shape,
                              "data_offsets", (json_int_t)*offset, (json_int_t)end);
    if (json_object_get(header, output->name)) {
        json_decref(entry);
        return error_set(error, STATUS_INVALID_ARGUMENT, "tensor \"%s\" is given twice", output->name);
    }
    if (json_object_set_new(header, output->name, entry) != 0)
        return error_set(error, STATUS_INVALID_ARGUMENT, "tensor \"%s\": the name is no UTF-8, or no memory",
                         output->name);
    *offset = end;
    return STATUS_OK;
overflow:
    json_decref(shape);
    return error_set(error, STATUS_INVALID_ARGUMENT, "tensor \"%s\": the shape's product does not fit",
                     output->name);
}

/* The length and the JSON, padded with spaces so that the data is aligned. *bytes is malloc'ed. */
static enum status pack_header(json_t *header, char **bytes, size_t *size_bytes, struct error *error)
{
    char *json = json_dumps(header, JSON_COMPACT);
    if (!json)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the header");
    const size_t json_bytes = strlen(json);
    const size_t total =
        (sizeof(uint64_t) + json_bytes + DATA_ALIGNMENT - 1) / DATA_ALIGNMENT * DATA_ALIGNMENT;
    char *packed = malloc(total);
    if (!packed) {
        free(json);
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the header");
    }
    const uint64_t length = total - sizeof length;
    memset(packed, ' ', total);
    memcpy(packed, &length, sizeof length);
    memcpy(packed + sizeof length, json, json_bytes);
    free(json);
    *bytes = packed;
    *size_bytes = total;
    return STATUS_OK;
}

static enum status make_header(const struct tensor_output *outputs, int n_outputs, char **bytes,
                               size_t *size_bytes, size_t *data_bytes, struct error *error)
{
    enum status status = STATUS_OK;
    json_t *header = json_object();
    *data_bytes = 0;
    for (int i = 0; i < n_outputs && !status; i++)
        status = add_entry(header, &outputs[i], data_bytes, error);
    if (!status)
        status = pack_header(header, bytes, size_bytes, error);
    json_decref(header);
    return status;
}

enum status tensors_write_open(const char *path, const struct tensor_output *outputs, int n_outputs,
                               struct tensors_writer **writer, struct error *error)
{
    char *header = NULL;
    size_t header_bytes = 0;
    struct tensors_writer *made = calloc(1, sizeof *made);
    if (!made || !(made->path = strdup(path))) {
        free(made);
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "%s: no memory", path);
    }
    enum status status = make_header(outputs, n_outputs, &header, &header_bytes, &made->missing_bytes, error);
    if (status)
        error_prefix(error, "%s", path);
    if (!status)
        status = new_file_create(path, &made->file, error);
    if (!status)
        status = new_file_write(made->file, header, header_bytes, error);
    free(header);
    if (status)
        tensors_write_abandon(made);
    else
        *writer = made;
    return status;
}

enum status tensors_write_data(struct tensors_writer *writer, const void *data, size_t size_bytes,
                               struct error *error)
{
    if (size_bytes > writer->missing_bytes)
        return error_set(error, STATUS_INVALID_ARGUMENT, "%s: %zu bytes of data too many", writer->path,
                         size_bytes - writer->missing_bytes);
    writer->missing_bytes -= size_bytes;
    return new_file_write(writer->file, data, size_bytes, error);
}

enum status tensors_write_close(struct tensors_writer *writer, struct error *error)
{
    if (writer->missing_bytes > 0) {
        enum status status = error_set(error, STATUS_INVALID_ARGUMENT, "%s: %zu bytes of data are missing",
                                       writer->path, writer->missing_bytes);
        tensors_write_abandon(writer);
        return status;
    }
    enum status status = new_file_commit(writer->file, error);
    free(writer->path);
    free(writer);
    return status;
}

void tensors_write_abandon(struct tensors_writer *writer)
{
    if (!writer)
        return;
    new_file_abandon(writer->file);
    free(writer->path);
    free(writer);
}
