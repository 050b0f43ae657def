#include "cli/convert/compare.h"

#include <stdlib.h>
#include <string.h>

static enum status differs(const struct tensor *expected, const char *how, struct error *error)
{
    return error_set(error, STATUS_DATA_LOSS, "tensor \"%s\" %s", expected->name, how);
}

static bool same_shape(const struct tensor *a, const struct tensor *b)
{
    return a->n_dimensions == b->n_dimensions &&
           memcmp(a->shape, b->shape, (size_t)a->n_dimensions * sizeof *a->shape) == 0;
}

enum status compare_tensors(const struct tensors *expected, const struct tensors *found, struct error *error)
{
    if (tensors_count(expected) != tensors_count(found))
        return error_set(error, STATUS_DATA_LOSS, "%d tensors instead of %d", tensors_count(found),
                         tensors_count(expected));
    for (int i = 0; i < tensors_count(expected); i++) {
        const struct tensor *a = tensors_at(expected, i), *b = tensors_find(found, a->name);
        if (!b)
            return differs(a, "is missing", error);
        if (!same_shape(a, b) || a->dtype != b->dtype || a->size_bytes != b->size_bytes)
            return differs(a, "has another shape or number format", error);
        if (memcmp(a->data, b->data, a->size_bytes) != 0)
            return differs(a, "has other numbers", error);
    }
    return STATUS_OK;
}

/* Compares what a sink is given with what it should be given. */
struct decoded {
    const struct tensor *expected;
    enum dtype dtype;  /* of the checkpoint */
    size_t n_elements; /* so far */
};

static enum status take(void *context, const void *elements, size_t n_elements, struct error *error)
{
    struct decoded *decoded = context;
    const struct tensor *expected = decoded->expected;
    size_t width = dtype_bytes(expected->dtype), at = decoded->n_elements * width, size = n_elements * width;
    const void *found = elements;
    float *floats = NULL;
    decoded->n_elements += n_elements;
    if (at + size > expected->size_bytes)
        return differs(expected, "is longer", error);
    if (decoded->dtype != expected->dtype) {
        floats = malloc(size ? size : 1);
        if (!floats)
            return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for %zu numbers", n_elements);
        dtype_to_float(decoded->dtype, elements, n_elements, floats);
        found = floats;
    }
    bool same = memcmp(found, (const char *)expected->data + at, size) == 0;
    free(floats);
    return same ? STATUS_OK : differs(expected, "has other numbers", error);
}

static bool expected_of(enum dtype dtype, enum dtype expected)
{
    bool half = dtype == DTYPE_BF16 || dtype == DTYPE_F16;
    return dtype == expected || (half && expected == DTYPE_F32);
}

enum status compare_checkpoint_tensor(struct checkpoint *checkpoint, const struct pickle_tensor *found,
                                      const struct tensor *expected, struct error *error)
{
    struct decoded decoded = {expected, found->storage->dtype, 0};
    const struct element_sink sink = {take, &decoded};
    bool shaped = (size_t)expected->n_dimensions == found->shape->n;
    for (int i = 0; shaped && i < expected->n_dimensions; i++)
        shaped = expected->shape[i] == found->shape->items[i]->integer;
    if (!shaped || !expected_of(decoded.dtype, expected->dtype))
        return differs(expected, "has another shape or number format", error);
    enum status status = checkpoint_read(checkpoint, found, &sink, error);
    if (status)
        return status;
    if (decoded.n_elements * dtype_bytes(expected->dtype) != expected->size_bytes)
        return differs(expected, "is shorter", error);
    return STATUS_OK;
}
