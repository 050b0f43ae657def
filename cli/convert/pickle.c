#include "cli/convert/pickle.h"

#include <stdlib.h>

#include "cli/convert/pickle_operations.h"

enum { ARENA_BYTES_PER_BYTE = 48, ARENA_BYTES_FREE = 64 << 10 };

/* Runs to the STOP, which must be the last byte and leave one value. */
static enum status run(struct machine *machine)
{
    const unsigned char *opcode = NULL;
    while (!machine->stopped) {
        machine->opcode_at = machine->at;
        enum status status = machine_take(machine, 1, &opcode);
        if (!status)
            status = machine_operate(machine, *opcode);
        if (status)
            return status;
    }
    if (machine->at != machine->size_bytes)
        return machine_fail(machine, "%zu bytes behind the end of the pickle",
                            machine->size_bytes - machine->at);
    if (machine->n_marks || machine->stack.n != 1)
        return machine_fail(machine, "the pickle must leave one value, not %zu", machine->stack.n);
    machine->pickle->root = machine->stack.values[0];
    return STATUS_OK;
}

enum status pickle_parse(const void *bytes, size_t size_bytes, struct pickle **pickle, struct error *error)
{
    struct machine *machine = calloc(1, sizeof *machine);
    struct pickle *made = calloc(1, sizeof *made);
    if (!machine || !made) {
        free(machine);
        free(made);
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "pickle: no memory");
    }
    made->most_bytes = size_bytes * ARENA_BYTES_PER_BYTE + ARENA_BYTES_FREE;
    machine->bytes = bytes;
    machine->size_bytes = size_bytes;
    machine->pickle = made;
    machine->error = error;
    enum status status = run(machine);
    free(machine->stack.values);
    free(machine->memo.values);
    free(machine);
    if (status)
        pickle_free(made);
    else
        *pickle = made;
    return status;
}

void pickle_free(struct pickle *pickle)
{
    if (!pickle)
        return;
    arena_free(pickle->chunks);
    free(pickle);
}

const struct pickle_value *pickle_root(const struct pickle *pickle)
{
    return pickle->root;
}

const struct pickle_value *pickle_get(const struct pickle_value *dict, const char *key)
{
    if (dict->kind != PICKLE_DICT)
        return NULL;
    for (size_t i = dict->items.n; i >= 2; i -= 2)
        if (pickle_text_equals(dict->items.items[i - 2], key))
            return dict->items.items[i - 1];
    return NULL;
}

static size_t add_printable(struct pickle_text text, char *to, size_t used, size_t most)
{
    for (size_t i = 0; i < text.size_bytes && used < most; i++)
        to[used++] = text.bytes[i] >= 0x20 && text.bytes[i] < 0x7F ? text.bytes[i] : '?';
    return used;
}

const char *pickle_opaque_name(const struct pickle_value *value, char to[PICKLE_NAME_ROOM])
{
    size_t used = add_printable(value->opaque.module, to, 0, 48);
    if (value->opaque.module.size_bytes)
        to[used++] = '.';
    used = add_printable(value->opaque.name, to, used, PICKLE_NAME_ROOM - 1);
    to[used] = '\0';
    return to;
}
