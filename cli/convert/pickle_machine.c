#include "cli/convert/pickle_machine.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 64 << 10 };
enum { ARENA_ALIGNMENT = _Alignof(struct pickle_value) };

struct arena_chunk {
    struct arena_chunk *next;
    size_t used, room;
    struct pickle_value memory[]; /* its bytes hold pickle values and arrays of pointers */
};

enum status machine_fail(struct machine *machine, const char *format, ...)
{
    char reason[320];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    return error_set(machine->error, STATUS_INVALID_ARGUMENT, "pickle, byte %zu: %s", machine->opcode_at,
                     reason);
}

static enum status no_memory(struct machine *machine)
{
    return error_set(machine->error, STATUS_RESOURCE_EXHAUSTED, "pickle, byte %zu: no memory",
                     machine->opcode_at);
}

enum status machine_take(struct machine *machine, uint64_t n, const unsigned char **bytes)
{
    if (n > machine->size_bytes - machine->at)
        return machine_fail(machine,
                            "%llu bytes should follow, only %zu are left: the file is cut off or damaged",
                            (unsigned long long)n, machine->size_bytes - machine->at);
    *bytes = machine->bytes + machine->at;
    machine->at += n;
    return STATUS_OK;
}

static struct arena_chunk *add_chunk(struct pickle *pickle, size_t size_bytes)
{
    const size_t room = size_bytes > CHUNK_BYTES ? size_bytes : CHUNK_BYTES;
    struct arena_chunk *chunk = calloc(1, sizeof *chunk + room);
    if (!chunk)
        return NULL;
    chunk->room = room;
    chunk->next = pickle->chunks;
    pickle->chunks = chunk;
    return chunk;
}

enum status machine_allocate(struct machine *machine, size_t size_bytes, void **memory)
{
    struct pickle *pickle = machine->pickle;
    size_bytes = (size_bytes + ARENA_ALIGNMENT - 1) / ARENA_ALIGNMENT * ARENA_ALIGNMENT;
    if (size_bytes > pickle->most_bytes - pickle->used_bytes)
        return machine_fail(machine, "more than %zu bytes of values; no checkpoint needs that",
                            pickle->most_bytes);
    struct arena_chunk *chunk = pickle->chunks;
    if (!chunk || chunk->room - chunk->used < size_bytes)
        chunk = add_chunk(pickle, size_bytes);
    if (!chunk)
        return no_memory(machine);
    *memory = (char *)chunk->memory + chunk->used;
    chunk->used += size_bytes;
    pickle->used_bytes += size_bytes;
    return STATUS_OK;
}

enum status value_array_append(struct machine *machine, struct value_array *array, struct pickle_value *value)
{
    if (array->n == array->room) {
        size_t room = array->room ? 2 * array->room : 64;
        struct pickle_value **values = realloc(array->values, room * sizeof *values);
        if (!values)
            return no_memory(machine);
        array->values = values;
        array->room = room;
    }
    array->values[array->n++] = value;
    return STATUS_OK;
}

enum status machine_push_same(struct machine *machine, struct pickle_value *value)
{
    return value_array_append(machine, &machine->stack, value);
}

enum status machine_push(struct machine *machine, struct pickle_value value)
{
    void *memory;
    enum status status = machine_allocate(machine, sizeof value, &memory);
    if (status)
        return status;
    memcpy(memory, &value, sizeof value);
    return machine_push_same(machine, memory);
}

enum status machine_top(struct machine *machine, struct pickle_value **value)
{
    const size_t bottom = machine->n_marks ? machine->marks[machine->n_marks - 1] : 0;
    if (machine->stack.n == bottom)
        return machine_fail(machine, "the stack is empty");
    *value = machine->stack.values[machine->stack.n - 1];
    return STATUS_OK;
}

enum status machine_pop(struct machine *machine, struct pickle_value **value)
{
    enum status status = machine_top(machine, value);
    if (!status)
        machine->stack.n--;
    return status;
}

enum status machine_pop_mark(struct machine *machine, size_t *first)
{
    if (machine->n_marks == 0)
        return machine_fail(machine, "no mark on the stack");
    *first = machine->marks[--machine->n_marks];
    return STATUS_OK;
}

void arena_free(struct arena_chunk *chunks)
{
    for (struct arena_chunk *chunk = chunks, *next; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
}

enum status machine_take_number(struct machine *machine, size_t n, uint64_t *number)
{
    const unsigned char *bytes;
    enum status status = machine_take(machine, n, &bytes);
    *number = 0;
    for (size_t i = 0; i < n && !status; i++)
        *number |= (uint64_t)bytes[i] << (8 * i);
    return status;
}
