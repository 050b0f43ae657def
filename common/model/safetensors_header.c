#include "common/model/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "common/foreign_file.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "safetensors data is used in place, little-endian");

enum { HEADER_BYTES_MAX = 16 << 20, NAME_BYTES_MAX = 256, LENGTH_BYTES = 8 };

void tensor_list_release(struct tensor_list *list)
{
    for (int i = 0; i < list->n; i++)
        free((char *)list->items[i].name);
    free(list->items);
    *list = (struct tensor_list){0};
}

static bool append(struct tensor_list *list, const struct tensor *tensor)
{
    if (list->n == list->room) {
        int room = list->room ? 2 * list->room : 64;
        struct tensor *items = realloc(list->items, (size_t)room * sizeof *items);
        if (!items)
            return false;
        list->items = items;
        list->room = room;
    }
    list->items[list->n++] = *tensor;
    return true;
}

/* Names appear in messages and tables: text without control characters. */
static enum status check_name(const char *name, struct error *error)
{
    size_t length = strlen(name);
    if (length == 0 || length > NAME_BYTES_MAX)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "a tensor's name has %zu bytes; it must have 1 to %d", length, NAME_BYTES_MAX);
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7F)
            return error_set(error, STATUS_INVALID_ARGUMENT,
                             "a tensor's name has a control character (byte %d)", (int)(c - name));
    return STATUS_OK;
}

static enum status read_dtype(const json_t *value, enum dtype *dtype, struct error *error)
{
    const char *name = json_string_value(value);
    if (!name)
        return error_set(error, STATUS_INVALID_ARGUMENT, "\"dtype\" must be a string");
    for (int i = DTYPE_F32; i <= DTYPE_BOOL; i++)
        if (strcmp(name, dtype_name((enum dtype)i)) == 0) {
            *dtype = (enum dtype)i;
            return STATUS_OK;
        }
    return error_set(error, STATUS_INVALID_ARGUMENT,
                     "dtype \"%.16s\" is unknown; F32, BF16, F16, F64, I64, I32, U8 and BOOL are read", name);
}

/* Fills shape and size_bytes. */
static enum status read_shape(const json_t *value, struct tensor *tensor, struct error *error)
{
    if (!json_is_array(value) || json_array_size(value) > TENSOR_RANK_MAX)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "\"shape\" must be an array of at most %d whole numbers", TENSOR_RANK_MAX);
    size_t size_bytes = dtype_bytes(tensor->dtype);
    tensor->n_dimensions = (int)json_array_size(value);
    for (int i = 0; i < tensor->n_dimensions; i++) {
        const json_t *extent = json_array_get(value, (size_t)i);
        tensor->shape[i] = json_integer_value(extent);
        if (!json_is_integer(extent) || tensor->shape[i] < 0)
            return error_set(error, STATUS_INVALID_ARGUMENT, "shape[%d] must be a whole number, 0 or more",
                             i);
        if (__builtin_mul_overflow(size_bytes, (size_t)tensor->shape[i], &size_bytes))
            return error_set(error, STATUS_INVALID_ARGUMENT,
                             "the product of the shape does not fit in 64 bits");
    }
    tensor->size_bytes = size_bytes;
    return STATUS_OK;
}

/* Checks the offsets against the shape and the data, and sets the pointer. */
static enum status read_offsets(const json_t *value, const char *data, size_t data_bytes,
                                struct tensor *tensor, struct error *error)
{
    const json_t *first = json_array_get(value, 0), *second = json_array_get(value, 1);
    if (json_array_size(value) != 2 || !json_is_integer(first) || !json_is_integer(second))
        return error_set(error, STATUS_INVALID_ARGUMENT, "\"data_offsets\" must be two whole numbers");
    const json_int_t begin = json_integer_value(first), end = json_integer_value(second);
    if (begin < 0 || end < begin || (uint64_t)end > data_bytes)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "data_offsets [%lld, %lld] are not within the %zu bytes of data", (long long)begin,
                         (long long)end, data_bytes);
    if ((uint64_t)(end - begin) != tensor->size_bytes)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "data_offsets hold %lld bytes, dtype and shape need %zu", (long long)(end - begin),
                         tensor->size_bytes);
    tensor->data = data + begin;
    return STATUS_OK;
}

static enum status read_entry(const json_t *entry, const char *data, size_t data_bytes, struct tensor *tensor,
                              struct error *error)
{
    if (!json_is_object(entry) || json_object_size(entry) != 3)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "must be an object of exactly \"dtype\", \"shape\" and \"data_offsets\"");
    enum status status = read_dtype(json_object_get(entry, "dtype"), &tensor->dtype, error);
    if (!status)
        status = read_shape(json_object_get(entry, "shape"), tensor, error);
    if (!status)
        status = read_offsets(json_object_get(entry, "data_offsets"), data, data_bytes, tensor, error);
    return status;
}

static enum status read_entries(json_t *header, const char *data, size_t data_bytes, const char *file,
                                struct tensor_list *list, struct error *error)
{
    const char *name;
    json_t *entry;
    json_object_foreach(header, name, entry)
    {
        if (strcmp(name, "__metadata__") == 0)
            continue;
        enum status status = check_name(name, error);
        if (status)
            return status;
        struct tensor tensor = {.file = file};
        status = read_entry(entry, data, data_bytes, &tensor, error);
        if (status) {
            error_prefix(error, "tensor \"%s\"", name);
            return status;
        }
        tensor.name = strdup(name);
        if (!tensor.name || !append(list, &tensor)) {
            free((char *)tensor.name);
            return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the table of tensors");
        }
    }
    return STATUS_OK;
}

static int by_place(const void *left, const void *right)
{
    const struct tensor *a = left, *b = right;
    if (a->data != b->data)
        return (const char *)a->data < (const char *)b->data ? -1 : 1;
    return (a->size_bytes > b->size_bytes) - (a->size_bytes < b->size_bytes); /* empty ones first */
}

/* Sorts the file's tensors by their place; together they must cover the data exactly, each byte once. */
static enum status check_cover(struct tensor_list *list, int first, const char *data, size_t data_bytes,
                               struct error *error)
{
    struct tensor *items = list->n > first ? list->items + first : NULL;
    const int n = list->n - first;
    if (n > 0)
        qsort(items, (size_t)n, sizeof *items, by_place);
    size_t covered = 0;
    for (int i = 0; i < n; i++) {
        const size_t begin = (size_t)((const char *)items[i].data - data);
        if (begin < covered)
            return error_set(error, STATUS_INVALID_ARGUMENT, "tensor \"%s\" overlaps tensor \"%s\"",
                             items[i].name, items[i - 1].name);
        if (begin > covered)
            return error_set(error, STATUS_INVALID_ARGUMENT,
                             "a hole of %zu bytes in the data before tensor \"%s\"", begin - covered,
                             items[i].name);
        covered = begin + items[i].size_bytes;
    }
    if (covered != data_bytes)
        return error_set(error, STATUS_INVALID_ARGUMENT, "%zu bytes behind the last tensor",
                         data_bytes - covered);
    return STATUS_OK;
}

static enum status check_metadata(json_t *metadata, struct error *error)
{
    if (metadata && !json_is_object(metadata))
        return error_set(error, STATUS_INVALID_ARGUMENT, "\"__metadata__\" must be an object of strings");
    const char *key;
    json_t *value;
    json_object_foreach(metadata, key, value) if (!json_is_string(value)) return error_set(
        error, STATUS_INVALID_ARGUMENT, "\"__metadata__\": \"%.64s\" must be a string", key);
    return STATUS_OK;
}

/* The JSON header as an object, and where the data begins. */
static enum status read_header(const char *bytes, size_t size_bytes, json_t **header, size_t *data_offset,
                               struct error *error)
{
    if (size_bytes < LENGTH_BYTES + 2)
        return error_set(error, STATUS_INVALID_ARGUMENT, "%zu bytes are too few for a safetensors file",
                         size_bytes);
    uint64_t length;
    memcpy(&length, bytes, sizeof length);
    if (length > HEADER_BYTES_MAX || length > size_bytes - LENGTH_BYTES)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "the header says it has %llu bytes; the file has %zu and a header at most %d",
                         (unsigned long long)length, size_bytes, HEADER_BYTES_MAX);
    json_error_t why;
    json_t *object = json_loadb(bytes + LENGTH_BYTES, (size_t)length, JSON_REJECT_DUPLICATES, &why);
    if (!object)
        return error_set(error, STATUS_INVALID_ARGUMENT, "header, byte %d: %s", why.position, why.text);
    if (!json_is_object(object)) {
        json_decref(object);
        return error_set(error, STATUS_INVALID_ARGUMENT, "the header must be a JSON object");
    }
    *header = object;
    *data_offset = LENGTH_BYTES + (size_t)length;
    return STATUS_OK;
}

enum status safetensors_parse(const void *bytes, size_t size_bytes, const char *file,
                              struct tensor_list *list, json_t **metadata, struct error *error)
{
    json_t *header = NULL;
    size_t data_offset = 0;
    enum status status = read_header(bytes, size_bytes, &header, &data_offset, error);
    const char *instead = status ? foreign_file(bytes, size_bytes) : NULL;
    if (instead && !strstr(instead, "safetensors file"))
        status = error_set(error, STATUS_INVALID_ARGUMENT, "%s", instead);
    if (!status)
        status = check_metadata(json_object_get(header, "__metadata__"), error);
    if (!status) {
        const char *data = (const char *)bytes + data_offset;
        const int first = list->n;
        status = read_entries(header, data, size_bytes - data_offset, file, list, error);
        if (!status)
            status = check_cover(list, first, data, size_bytes - data_offset, error);
    }
    if (status)
        error_prefix(error, "%s", file);
    else
        *metadata = json_incref(json_object_get(header, "__metadata__"));
    json_decref(header);
    return status;
}
