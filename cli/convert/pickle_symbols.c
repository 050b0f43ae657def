#include "cli/convert/pickle_symbols.h"

#include <string.h>

enum { STORAGE_KEY_MAX = 32 };

static const struct pickle_symbol symbols[] = {
    {"collections", "OrderedDict", MAKES_DICT, DTYPE_F32},
    {"torch._utils", "_rebuild_tensor_v2", MAKES_TENSOR, DTYPE_F32},
    {"torch._utils", "_rebuild_parameter", PASSES_TENSOR, DTYPE_F32},
    {"torch._utils", "_rebuild_parameter_with_state", PASSES_TENSOR, DTYPE_F32},
    {"torch", "FloatStorage", NAMES_STORAGE, DTYPE_F32},
    {"torch", "BFloat16Storage", NAMES_STORAGE, DTYPE_BF16},
    {"torch", "HalfStorage", NAMES_STORAGE, DTYPE_F16},
    {"torch", "DoubleStorage", NAMES_STORAGE, DTYPE_F64},
    {"torch", "LongStorage", NAMES_STORAGE, DTYPE_I64},
    {"torch", "IntStorage", NAMES_STORAGE, DTYPE_I32},
    {"torch", "ByteStorage", NAMES_STORAGE, DTYPE_U8},
    {"torch", "BoolStorage", NAMES_STORAGE, DTYPE_BOOL},
};

static bool equals(struct pickle_text text, const char *other)
{
    return text.size_bytes == strlen(other) && memcmp(text.bytes, other, text.size_bytes) == 0;
}

bool pickle_text_equals(const struct pickle_value *value, const char *text)
{
    return value->kind == PICKLE_TEXT && equals(value->text, text);
}

const struct pickle_symbol *pickle_symbol_find(struct pickle_text module, struct pickle_text name)
{
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++)
        if (equals(module, symbols[i].module) && equals(name, symbols[i].name))
            return &symbols[i];
    return NULL;
}

static bool plain_key(struct pickle_text key)
{
    static const char allowed[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
    for (size_t i = 0; i < key.size_bytes; i++)
        if (!memchr(allowed, key.bytes[i], sizeof allowed - 1))
            return false;
    return key.size_bytes > 0 && key.size_bytes <= STORAGE_KEY_MAX;
}

const char *pickle_make_storage(const struct pickle_items *arguments, struct pickle_value *made)
{
    if (arguments->n != 5 || !pickle_text_equals(arguments->items[0], "storage"))
        return "a persistent id must be ('storage', type, key, location, number of elements)";
    const struct pickle_value *type = arguments->items[1], *key = arguments->items[2],
                              *n = arguments->items[4];
    if (type->kind == PICKLE_OPAQUE) {
        *made = *type;
        return NULL;
    }
    if (type->kind != PICKLE_SYMBOL || type->symbol->meaning != NAMES_STORAGE)
        return "a storage must have one of torch's storage types";
    if (key->kind != PICKLE_TEXT || !plain_key(key->text))
        return "a storage's key must be 1 to 32 letters, digits or underscores";
    if (n->kind != PICKLE_INTEGER || n->integer < 0)
        return "a storage's number of elements must be a whole number, 0 or more";
    made->kind = PICKLE_STORAGE;
    made->storage = (struct pickle_storage){key->text, n->integer, type->symbol->dtype};
    return NULL;
}

static bool whole_numbers(const struct pickle_value *value)
{
    if (value->kind != PICKLE_TUPLE)
        return false;
    for (size_t i = 0; i < value->items.n; i++)
        if (value->items.items[i]->kind != PICKLE_INTEGER || value->items.items[i]->integer < 0)
            return false;
    return true;
}

static struct pickle_value opaque(const char *what)
{
    return (struct pickle_value){.kind = PICKLE_OPAQUE, .opaque = {{"", 0}, {what, strlen(what)}}};
}

/*
 * The seventh argument says that the tensor is a lazy view: {"neg": True, "conj": True}. Returns false for a
 * view that is not understood: a tensor that the view would change must not be taken as it is.
 */
static bool read_metadata(const struct pickle_items *arguments, bool *negated)
{
    const struct pickle_value *metadata = arguments->n > 6 ? arguments->items[6] : NULL;
    *negated = false;
    if (arguments->n > 7)
        return false;
    if (!metadata || metadata->kind == PICKLE_NONE)
        return true;
    if (metadata->kind != PICKLE_DICT)
        return false;
    for (size_t i = 0; i < metadata->items.n; i += 2) {
        const struct pickle_value *key = metadata->items.items[i], *value = metadata->items.items[i + 1];
        if (value->kind != PICKLE_BOOL)
            return false;
        if (pickle_text_equals(key, "neg"))
            *negated = value->integer != 0;
        else if (value->integer != 0)
            return false;
    }
    return true;
}

const char *pickle_make_tensor(const struct pickle_items *arguments, struct pickle_value *made)
{
    if (arguments->n < 4)
        return "_rebuild_tensor_v2 needs a storage, an offset, a shape and strides";
    const struct pickle_value *storage = arguments->items[0], *offset = arguments->items[1];
    const struct pickle_value *shape = arguments->items[2], *strides = arguments->items[3];
    bool negated;
    if (storage->kind == PICKLE_OPAQUE) {
        *made = *storage;
        return NULL;
    }
    if (storage->kind != PICKLE_STORAGE)
        return "a tensor's first argument must be a storage";
    if (offset->kind != PICKLE_INTEGER || offset->integer < 0)
        return "a tensor's offset must be a whole number, 0 or more";
    if (!whole_numbers(shape) || !whole_numbers(strides) || shape->items.n != strides->items.n)
        return "a tensor's shape and strides must be tuples of as many whole numbers, 0 or more";
    if (!read_metadata(arguments, &negated)) {
        *made = opaque("torch._utils._rebuild_tensor_v2 with arguments of a later version of torch");
        return NULL;
    }
    made->kind = PICKLE_TENSOR;
    made->tensor =
        (struct pickle_tensor){&storage->storage, &shape->items, &strides->items, offset->integer, negated};
    return NULL;
}

const char *pickle_call(const struct pickle_symbol *symbol, const struct pickle_items *arguments,
                        struct pickle_value *made)
{
    switch (symbol->meaning) {
    case MAKES_DICT:
        *made = arguments->n ? opaque("collections.OrderedDict with arguments")
                             : (struct pickle_value){.kind = PICKLE_DICT};
        return NULL;
    case MAKES_TENSOR:
        return pickle_make_tensor(arguments, made);
    case PASSES_TENSOR:
        if (arguments->n < 1 ||
            (arguments->items[0]->kind != PICKLE_TENSOR && arguments->items[0]->kind != PICKLE_OPAQUE))
            return "_rebuild_parameter needs a tensor";
        *made = *arguments->items[0];
        return NULL;
    case NAMES_STORAGE:
        break;
    }
    return "a storage type cannot be called";
}
