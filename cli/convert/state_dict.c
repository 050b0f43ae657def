#include "cli/convert/state_dict.h"

#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES_MAX = 256 };

/* True for the parts that DataParallel, torch.compile, FSDP, activation checkpointing and Fabric put into the
 * names of the modules that they wrap. */
static bool is_wrapper(const char *part, size_t size_bytes)
{
    static const char *const wrappers[] = {
        "module",          "_orig_mod",   "_fsdp_wrapped_module",      "_fpw_module",
        "_forward_module", "_ddp_module", "_checkpoint_wrapped_module"};
    for (size_t i = 0; i < sizeof wrappers / sizeof *wrappers; i++)
        if (size_bytes == strlen(wrappers[i]) && memcmp(part, wrappers[i], size_bytes) == 0)
            return true;
    return false;
}

/* The name without the wrappers' parts, wherever they are. The last part is always kept. The result is empty
 * when the name is too long. */
static struct pickle_text bare_name(struct pickle_text name, char to[NAME_BYTES_MAX])
{
    size_t used = 0;
    for (size_t at = 0; at < name.size_bytes;) {
        const char *part = name.bytes + at, *dot = memchr(part, '.', name.size_bytes - at);
        const size_t n = dot ? (size_t)(dot - part) : name.size_bytes - at;
        at += n + (dot != NULL);
        if (dot && is_wrapper(part, n))
            continue;
        if (used + n + 1 > NAME_BYTES_MAX)
            return (struct pickle_text){to, 0};
        memcpy(to + used, part, n + (dot != NULL));
        used += n + (dot != NULL);
    }
    return (struct pickle_text){to, used};
}

/* A copy fit for messages and file headers: printable ASCII, at most 255 bytes. NULL for another name. */
static char *copy_name(struct pickle_text name)
{
    if (name.size_bytes == 0 || name.size_bytes >= NAME_BYTES_MAX)
        return NULL;
    for (size_t i = 0; i < name.size_bytes; i++)
        if (name.bytes[i] <= 0x20 || name.bytes[i] >= 0x7F)
            return NULL;
    return strndup(name.bytes, name.size_bytes);
}

static int by_name(const void *left, const void *right)
{
    return strcmp(((const struct named_tensor *)left)->name, ((const struct named_tensor *)right)->name);
}

void state_dict_release(struct state_dict *state)
{
    for (size_t i = 0; i < state->n; i++)
        free(state->tensors[i].name);
    free(state->tensors);
    *state = (struct state_dict){0};
}

static enum status refuse_entry(const char *name, const struct pickle_value *value, struct error *error)
{
    char maker[PICKLE_NAME_ROOM];
    if (value->kind != PICKLE_OPAQUE)
        return error_set(error, STATUS_INVALID_ARGUMENT, "entry \"%s\" is no tensor", name);
    return error_set(
        error, STATUS_INVALID_ARGUMENT,
        "entry \"%s\" is made by %s, which is refused: a network has only tensors of torch's usual types. "
        "Nothing was executed",
        name, pickle_opaque_name(value, maker));
}

static enum status collect(const struct pickle_items *items, struct state_dict *state, struct error *error)
{
    for (size_t i = 0; i < items->n; i += 2) {
        const struct pickle_value *key = items->items[i], *value = items->items[i + 1];
        char bare[NAME_BYTES_MAX];
        char *name = key->kind == PICKLE_TEXT ? copy_name(bare_name(key->text, bare)) : NULL;
        if (!name)
            return error_set(error, STATUS_INVALID_ARGUMENT,
                             "entry %zu: a tensor's name must be 1 to 255 printable characters", i / 2);
        if (value->kind != PICKLE_TENSOR) {
            enum status status = refuse_entry(name, value, error);
            free(name);
            return status;
        }
        state->tensors[state->n++] = (struct named_tensor){name, &value->tensor};
    }
    qsort(state->tensors, state->n, sizeof *state->tensors, by_name);
    for (size_t i = 1; i < state->n; i++)
        if (strcmp(state->tensors[i - 1].name, state->tensors[i].name) == 0)
            return error_set(error, STATUS_INVALID_ARGUMENT, "tensor \"%s\" is there twice",
                             state->tensors[i].name);
    return STATUS_OK;
}

enum status state_dict_read(const struct pickle_value *dict, struct state_dict *state, struct error *error)
{
    char maker[PICKLE_NAME_ROOM];
    if (dict->kind == PICKLE_OPAQUE)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "is made by %s, which is refused; save its state_dict(). Nothing was executed",
                         pickle_opaque_name(dict, maker));
    if (dict->kind != PICKLE_DICT || dict->items.n == 0)
        return error_set(error, STATUS_INVALID_ARGUMENT, "is no dict of tensors");
    struct state_dict read = {calloc(dict->items.n / 2, sizeof *read.tensors), 0};
    if (!read.tensors)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for %zu tensors", dict->items.n / 2);
    enum status status = collect(&dict->items, &read, error);
    if (status)
        state_dict_release(&read);
    else
        *state = read;
    return status;
}

const struct pickle_tensor *state_dict_find(const struct state_dict *state, const char *name)
{
    const struct named_tensor key = {(char *)name, NULL};
    const struct named_tensor *found = bsearch(&key, state->tensors, state->n, sizeof key, by_name);
    return found ? found->tensor : NULL;
}
