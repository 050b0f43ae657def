#include "cli/convert/state_dict.h"

#include <stdlib.h>
#include <string.h>

static bool starts_with(struct pickle_text text, const char *prefix)
{
    const size_t n = strlen(prefix);
    return text.size_bytes > n && memcmp(text.bytes, prefix, n) == 0;
}

/* What DataParallel and torch.compile put before names, taken off as often as they did. */
static struct pickle_text bare_name(struct pickle_text name)
{
    static const char *const prefixes[] = {"module.", "_orig_mod."};
    for (size_t i = 0; i < 2;) {
        if (!starts_with(name, prefixes[i])) {
            i++;
            continue;
        }
        name.bytes += strlen(prefixes[i]);
        name.size_bytes -= strlen(prefixes[i]);
        i = 0;
    }
    return name;
}

/* A copy fit for messages and file headers: printable ASCII, at most 255 bytes. NULL for another name. */
static char *copy_name(struct pickle_text name)
{
    if (name.size_bytes == 0 || name.size_bytes > 255)
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

static enum status collect(const struct pickle_items *items, struct state_dict *state, struct error *error)
{
    for (size_t i = 0; i < items->n; i += 2) {
        const struct pickle_value *key = items->items[i], *value = items->items[i + 1];
        char *name = key->kind == PICKLE_TEXT ? copy_name(bare_name(key->text)) : NULL;
        if (!name)
            return error_set(error, STATUS_INVALID_ARGUMENT,
                             "entry %zu: a tensor's name must be 1 to 255 printable characters", i / 2);
        if (value->kind != PICKLE_TENSOR) {
            enum status status = error_set(error, STATUS_INVALID_ARGUMENT, "entry \"%s\" is no tensor", name);
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
