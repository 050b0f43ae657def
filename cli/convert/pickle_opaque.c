#include "cli/convert/pickle_opaque.h"

#include <stdio.h>
#include <string.h>

static enum status push(struct machine *machine, const char *what)
{
    return machine_push(
        machine, (struct pickle_value){.kind = PICKLE_OPAQUE, .opaque = {{"", 0}, {what, strlen(what)}}});
}

enum status opaque_push_name(struct machine *machine, struct pickle_text module, struct pickle_text name)
{
    return machine_push(machine, (struct pickle_value){.kind = PICKLE_OPAQUE, .opaque = {module, name}});
}

enum status opaque_number(struct machine *machine, uint64_t n)
{
    const unsigned char *bytes;
    enum status status = machine_take(machine, n, &bytes);
    return status ? status : push(machine, "a whole number beyond 64 bits");
}

enum status opaque_long4(struct machine *machine)
{
    uint64_t n;
    enum status status = machine_take_number(machine, 4, &n);
    return status ? status : opaque_number(machine, n);
}

static enum status take_bytes(struct machine *machine, size_t length_bytes)
{
    uint64_t n;
    const unsigned char *bytes;
    enum status status = machine_take_number(machine, length_bytes, &n);
    if (!status)
        status = machine_take(machine, n, &bytes);
    return status ? status : push(machine, "bytes");
}

enum status opaque_binbytes(struct machine *machine)
{
    return take_bytes(machine, 4);
}

enum status opaque_short_binbytes(struct machine *machine)
{
    return take_bytes(machine, 1);
}

enum status opaque_binbytes8(struct machine *machine)
{
    return take_bytes(machine, 8);
}

enum status opaque_empty_set(struct machine *machine)
{
    return push(machine, "a set");
}

/* The set keeps nothing. */
enum status opaque_additems(struct machine *machine)
{
    size_t first;
    struct pickle_value *set;
    enum status status = machine_pop_mark(machine, &first);
    if (status)
        return status;
    machine->stack.n = first;
    status = machine_top(machine, &set);
    return status || set->kind == PICKLE_OPAQUE ? status
                                                : machine_fail(machine, "items for a set, but there is none");
}

enum status opaque_frozenset(struct machine *machine)
{
    size_t first;
    enum status status = machine_pop_mark(machine, &first);
    if (status)
        return status;
    machine->stack.n = first;
    return push(machine, "a set");
}

/* class.__new__(class, *arguments, **named) */
enum status opaque_newobj_ex(struct machine *machine)
{
    struct pickle_value *named, *arguments, *callee;
    enum status status = machine_pop(machine, &named);
    if (!status)
        status = machine_pop(machine, &arguments);
    if (!status)
        status = machine_pop(machine, &callee);
    if (status)
        return status;
    if (callee->kind != PICKLE_OPAQUE && callee->kind != PICKLE_SYMBOL)
        return machine_fail(machine, "a call must be of a symbol with a tuple");
    return callee->kind == PICKLE_OPAQUE ? machine_push_same(machine, callee)
                                         : push(machine, "an object with named arguments");
}
