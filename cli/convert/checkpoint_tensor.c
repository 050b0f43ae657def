#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/convert/checkpoint_zip.h"
#include "common/model/tensors.h"

enum { PIECE_BYTES = 1 << 20 };

static int64_t at(const struct pickle_items *numbers, size_t index)
{
    return numbers->items[index]->integer;
}

enum status pickle_tensor_elements(const struct pickle_tensor *tensor, int64_t *n_elements,
                                   struct error *error)
{
    int64_t product = 1;
    bool empty = false, overflow = false;
    for (size_t i = 0; i < tensor->shape->n; i++) {
        empty |= at(tensor->shape, i) == 0;
        overflow |= __builtin_mul_overflow(product, at(tensor->shape, i), &product);
    }
    if (overflow && !empty)
        return error_set(error, STATUS_INVALID_ARGUMENT, "the product of the shape does not fit in 63 bits");
    *n_elements = empty ? 0 : product;
    return STATUS_OK;
}

/* The last element that the view touches must lie in the storage. */
static enum status check_reach(const struct pickle_tensor *tensor, struct error *error)
{
    int64_t last = tensor->offset, step;
    for (size_t i = 0; i < tensor->shape->n; i++)
        if (__builtin_mul_overflow(at(tensor->shape, i) - 1, at(tensor->strides, i), &step) ||
            __builtin_add_overflow(last, step, &last))
            return error_set(error, STATUS_INVALID_ARGUMENT, "its shape and strides do not fit in 63 bits");
    if (last >= tensor->storage->n_elements)
        return error_set(error, STATUS_INVALID_ARGUMENT, "reaches element %lld of a storage of %lld",
                         (long long)last, (long long)tensor->storage->n_elements);
    return STATUS_OK;
}

static bool is_contiguous(const struct pickle_tensor *tensor)
{
    int64_t expected = 1;
    for (size_t i = tensor->shape->n; i-- > 0; expected *= at(tensor->shape, i))
        if (at(tensor->shape, i) != 1 && at(tensor->strides, i) != expected)
            return false;
    return true;
}

static enum status open_storage(struct checkpoint *checkpoint, const struct pickle_storage *storage,
                                struct record *record, struct error *error)
{
    char name[64];
    uint64_t needed;
    snprintf(name, sizeof name, "data/%.*s", (int)storage->key.size_bytes, storage->key.bytes);
    enum status status = record_open(checkpoint, name, record, error);
    if (status)
        return status;
    if (!__builtin_mul_overflow((uint64_t)storage->n_elements, dtype_bytes(storage->dtype), &needed) &&
        needed <= record->size_bytes)
        return STATUS_OK;
    status = error_set(error, STATUS_DATA_LOSS, "record %s has %llu bytes; %lld elements of %s need more",
                       name, (unsigned long long)record->size_bytes, (long long)storage->n_elements,
                       dtype_name(storage->dtype));
    record_close(record);
    return status;
}

/* Changes the sign of elements that a checkpoint holds as a negative view. */
static void negate(enum dtype dtype, char *elements, size_t n)
{
    const size_t width = dtype_bytes(dtype);
    for (size_t i = 0; i < n; i++)
        elements[i * width + width - 1] ^= (char)0x80; /* the sign bit; little-endian */
}

static enum status give(const struct pickle_tensor *tensor, char *piece, size_t n,
                        const struct element_sink *sink, struct error *error)
{
    if (tensor->negated)
        negate(tensor->storage->dtype, piece, n);
    return sink->take(sink->context, piece, n, error);
}

static bool has_sign_bit(enum dtype dtype)
{
    return dtype == DTYPE_F32 || dtype == DTYPE_F64 || dtype == DTYPE_F16 || dtype == DTYPE_BF16;
}

/* Passes a run of elements to the sink, straight from the record. */
static enum status stream(struct record *record, const struct pickle_tensor *tensor, uint64_t n_elements,
                          char *piece, const struct element_sink *sink, struct error *error)
{
    const size_t width = dtype_bytes(tensor->storage->dtype), room = PIECE_BYTES / width;
    enum status status = record_skip_to(record, (uint64_t)tensor->offset * width, error);
    while (n_elements > 0 && !status) {
        const size_t n = n_elements < room ? n_elements : room;
        status = record_read(record, piece, n * width, error);
        if (!status)
            status = give(tensor, piece, n, sink, error);
        n_elements -= n;
    }
    return status;
}

/* Moves on to the next index in row-major order; returns the element's place in the storage. */
static int64_t step_on(const struct pickle_tensor *tensor, int64_t *index, int64_t place)
{
    for (size_t i = tensor->shape->n; i-- > 0;) {
        if (index[i] + 1 < at(tensor->shape, i)) {
            index[i]++;
            return place + at(tensor->strides, i);
        }
        place -= index[i] * at(tensor->strides, i);
        index[i] = 0;
    }
    return place;
}

/* Gathers elements of any strides from the whole storage in memory. */
static enum status gather(const char *storage, const struct pickle_tensor *tensor, uint64_t n_elements,
                          char *piece, const struct element_sink *sink, struct error *error)
{
    const size_t width = dtype_bytes(tensor->storage->dtype), room = PIECE_BYTES / width;
    int64_t index[TENSOR_RANK_MAX] = {0}, place = tensor->offset;
    enum status status = STATUS_OK;
    while (n_elements > 0 && !status) {
        const size_t n = n_elements < room ? n_elements : room;
        for (size_t i = 0; i < n; i++) {
            memcpy(piece + i * width, storage + (size_t)place * width, width);
            place = step_on(tensor, index, place);
        }
        status = give(tensor, piece, n, sink, error);
        n_elements -= n;
    }
    return status;
}

static enum status load_and_gather(struct record *record, const struct pickle_tensor *tensor,
                                   uint64_t n_elements, char *piece, const struct element_sink *sink,
                                   struct error *error)
{
    char *storage = malloc(record->size_bytes);
    if (!storage)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a storage of %llu bytes",
                         (unsigned long long)record->size_bytes);
    enum status status = record_read(record, storage, record->size_bytes, error);
    if (!status)
        status = gather(storage, tensor, n_elements, piece, sink, error);
    free(storage);
    return status;
}

enum status checkpoint_read(struct checkpoint *checkpoint, const struct pickle_tensor *tensor,
                            const struct element_sink *sink, struct error *error)
{
    int64_t n_elements;
    struct record record;
    if (tensor->shape->n > TENSOR_RANK_MAX)
        return error_set(error, STATUS_INVALID_ARGUMENT, "has %zu dimensions; at most %d are read",
                         tensor->shape->n, TENSOR_RANK_MAX);
    if (tensor->negated && !has_sign_bit(tensor->storage->dtype))
        return error_set(error, STATUS_INVALID_ARGUMENT, "is a negative view of %s, which is not read",
                         dtype_name(tensor->storage->dtype));
    enum status status = pickle_tensor_elements(tensor, &n_elements, error);
    if (status || n_elements == 0)
        return status;
    status = check_reach(tensor, error);
    if (!status)
        status = open_storage(checkpoint, tensor->storage, &record, error);
    if (status)
        return status;
    char *piece = malloc(PIECE_BYTES);
    if (!piece)
        status = error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory");
    else if (is_contiguous(tensor))
        status = stream(&record, tensor, (uint64_t)n_elements, piece, sink, error);
    else
        status = load_and_gather(&record, tensor, (uint64_t)n_elements, piece, sink, error);
    free(piece);
    record_close(&record);
    return status;
}
