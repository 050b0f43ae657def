#include <string.h>

#include "cli/convert/pickle_opaque.h"
#include "cli/convert/pickle_operations.h"
#include "cli/convert/pickle_symbols.h"

/* One small function for each opcode, named as in Python's pickletools; the table is at the end. */

static enum status push_integer(struct machine *machine, int64_t integer)
{
    return machine_push(machine, (struct pickle_value){.kind = PICKLE_INTEGER, .integer = integer});
}

static enum status proto(struct machine *machine)
{
    uint64_t version;
    enum status status = machine_take_number(machine, 1, &version);
    if (!status && (version < 2 || version > 5))
        return machine_fail(machine, "protocol %u; 2 to 5 are read", (unsigned)version);
    return status;
}

/* A frame says how many bytes of the program belong together. We only check that it is plausible. */
static enum status frame(struct machine *machine)
{
    uint64_t length;
    enum status status = machine_take_number(machine, 8, &length);
    if (!status && length > machine->size_bytes - machine->at)
        return machine_fail(machine, "a frame of %llu bytes; only %zu are left", (unsigned long long)length,
                            machine->size_bytes - machine->at);
    return status;
}

static enum status stop(struct machine *machine)
{
    machine->stopped = true;
    return STATUS_OK;
}

static enum status none(struct machine *machine)
{
    return machine_push(machine, (struct pickle_value){.kind = PICKLE_NONE});
}

static enum status newtrue(struct machine *machine)
{
    return machine_push(machine, (struct pickle_value){.kind = PICKLE_BOOL, .integer = 1});
}

static enum status newfalse(struct machine *machine)
{
    return machine_push(machine, (struct pickle_value){.kind = PICKLE_BOOL, .integer = 0});
}

static enum status binint(struct machine *machine)
{
    uint64_t number;
    enum status status = machine_take_number(machine, 4, &number);
    return status ? status : push_integer(machine, (int32_t)(uint32_t)number);
}

static enum status binint1(struct machine *machine)
{
    uint64_t number;
    enum status status = machine_take_number(machine, 1, &number);
    return status ? status : push_integer(machine, (int64_t)number);
}

static enum status binint2(struct machine *machine)
{
    uint64_t number;
    enum status status = machine_take_number(machine, 2, &number);
    return status ? status : push_integer(machine, (int64_t)number);
}

/* A whole number in two's complement; the first byte says how many bytes follow. */
static enum status long1(struct machine *machine)
{
    uint64_t n, number;
    enum status status = machine_take_number(machine, 1, &n);
    if (!status && n > 8)
        return opaque_number(machine, n);
    if (!status)
        status = machine_take_number(machine, n, &number);
    if (status)
        return status;
    if (n > 0 && n < 8 && number >> (8 * n - 1))
        number |= ~(uint64_t)0 << (8 * n);
    return push_integer(machine, (int64_t)number);
}

/* A double. Unlike all other numbers it is big-endian. */
static enum status binfloat(struct machine *machine)
{
    uint64_t bits;
    double real;
    enum status status = machine_take_number(machine, 8, &bits);
    bits = __builtin_bswap64(bits);
    memcpy(&real, &bits, sizeof real);
    return status ? status : machine_push(machine, (struct pickle_value){.kind = PICKLE_REAL, .real = real});
}

static enum status push_text(struct machine *machine, size_t length_bytes)
{
    uint64_t length;
    const unsigned char *bytes;
    enum status status = machine_take_number(machine, length_bytes, &length);
    if (!status)
        status = machine_take(machine, length, &bytes);
    if (status)
        return status;
    return machine_push(machine,
                        (struct pickle_value){.kind = PICKLE_TEXT, .text = {(const char *)bytes, length}});
}

static enum status binunicode(struct machine *machine)
{
    return push_text(machine, 4);
}

static enum status short_binunicode(struct machine *machine)
{
    return push_text(machine, 1);
}

static enum status binunicode8(struct machine *machine)
{
    return push_text(machine, 8);
}

static enum status empty_dict(struct machine *machine)
{
    return machine_push(machine, (struct pickle_value){.kind = PICKLE_DICT});
}

static enum status empty_list(struct machine *machine)
{
    return machine_push(machine, (struct pickle_value){.kind = PICKLE_LIST});
}

static enum status mark(struct machine *machine)
{
    if (machine->n_marks == MARKS_MAX)
        return machine_fail(machine, "more than %d open marks", MARKS_MAX);
    machine->marks[machine->n_marks++] = machine->stack.n;
    return STATUS_OK;
}

/* Makes a tuple of the values from `first` up. */
static enum status tuple_from(struct machine *machine, size_t first)
{
    struct pickle_value tuple = {.kind = PICKLE_TUPLE};
    const size_t n = machine->stack.n - first;
    if (n > 0) {
        void *items;
        enum status status = machine_allocate(machine, n * sizeof *tuple.items.items, &items);
        if (status)
            return status;
        memcpy(items, machine->stack.values + first, n * sizeof *tuple.items.items);
        tuple.items = (struct pickle_items){items, n, n};
    }
    machine->stack.n = first;
    return machine_push(machine, tuple);
}

static enum status tuple_of(struct machine *machine, size_t n)
{
    const size_t bottom = machine->n_marks ? machine->marks[machine->n_marks - 1] : 0;
    if (machine->stack.n - bottom < n)
        return machine_fail(machine, "a tuple of %zu needs as many values on the stack", n);
    return tuple_from(machine, machine->stack.n - n);
}

static enum status empty_tuple(struct machine *machine)
{
    return tuple_of(machine, 0);
}

static enum status tuple1(struct machine *machine)
{
    return tuple_of(machine, 1);
}

static enum status tuple2(struct machine *machine)
{
    return tuple_of(machine, 2);
}

static enum status tuple3(struct machine *machine)
{
    return tuple_of(machine, 3);
}

static enum status tuple(struct machine *machine)
{
    size_t first;
    enum status status = machine_pop_mark(machine, &first);
    return status ? status : tuple_from(machine, first);
}

static enum status items_append(struct machine *machine, struct pickle_items *items,
                                struct pickle_value *value)
{
    if (items->n == items->room) {
        void *grown;
        const size_t room = items->room ? 2 * items->room : 4;
        enum status status = machine_allocate(machine, room * sizeof *items->items, &grown);
        if (status)
            return status;
        if (items->n > 0)
            memcpy(grown, items->items, items->n * sizeof *items->items);
        items->items = grown;
        items->room = room;
    }
    items->items[items->n++] = value;
    return STATUS_OK;
}

/* Moves the values from `first` up into the list or dict below them. */
static enum status move_into(struct machine *machine, size_t first, enum pickle_kind kind)
{
    const size_t n = machine->stack.n;
    machine->stack.n = first;
    struct pickle_value *target;
    enum status status = machine_top(machine, &target);
    if (status)
        return status;
    if (target->kind == PICKLE_OPAQUE)
        return STATUS_OK; /* a list or dict of a class that we do not know */
    if (target->kind != kind)
        return machine_fail(machine, "items for a %s, but there is none below them",
                            kind == PICKLE_DICT ? "dict" : "list");
    if (kind == PICKLE_DICT && (n - first) % 2)
        return machine_fail(machine, "a key without a value");
    for (size_t i = first; i < n && !status; i++)
        status = items_append(machine, &target->items, machine->stack.values[i]);
    return status;
}

static enum status move_last(struct machine *machine, size_t n, enum pickle_kind kind)
{
    const size_t bottom = machine->n_marks ? machine->marks[machine->n_marks - 1] : 0;
    if (machine->stack.n - bottom < n)
        return machine_fail(machine, "the stack is empty");
    return move_into(machine, machine->stack.n - n, kind);
}

static enum status append(struct machine *machine)
{
    return move_last(machine, 1, PICKLE_LIST);
}

static enum status setitem(struct machine *machine)
{
    return move_last(machine, 2, PICKLE_DICT);
}

static enum status appends(struct machine *machine)
{
    size_t first;
    enum status status = machine_pop_mark(machine, &first);
    return status ? status : move_into(machine, first, PICKLE_LIST);
}

static enum status setitems(struct machine *machine)
{
    size_t first;
    enum status status = machine_pop_mark(machine, &first);
    return status ? status : move_into(machine, first, PICKLE_DICT);
}

/* Writers number entries in order and leave none out. We refuse gaps, so that a large number cannot claim
 * memory.
 */
static enum status memo_put(struct machine *machine, uint64_t index)
{
    struct pickle_value *value;
    enum status status = machine_top(machine, &value);
    if (status)
        return status;
    if (index > machine->memo.n)
        return machine_fail(machine, "memo entry %llu, but only %zu are there before it",
                            (unsigned long long)index, machine->memo.n);
    if (index == machine->memo.n)
        return value_array_append(machine, &machine->memo, value);
    machine->memo.values[index] = value;
    return STATUS_OK;
}

static enum status memo_get(struct machine *machine, uint64_t index)
{
    if (index >= machine->memo.n)
        return machine_fail(machine, "memo entry %llu; there are %zu", (unsigned long long)index,
                            machine->memo.n);
    return machine_push_same(machine, machine->memo.values[index]);
}

static enum status binput(struct machine *machine)
{
    uint64_t index;
    enum status status = machine_take_number(machine, 1, &index);
    return status ? status : memo_put(machine, index);
}

static enum status long_binput(struct machine *machine)
{
    uint64_t index;
    enum status status = machine_take_number(machine, 4, &index);
    return status ? status : memo_put(machine, index);
}

static enum status memoize(struct machine *machine)
{
    return memo_put(machine, machine->memo.n);
}

static enum status binget(struct machine *machine)
{
    uint64_t index;
    enum status status = machine_take_number(machine, 1, &index);
    return status ? status : memo_get(machine, index);
}

static enum status long_binget(struct machine *machine)
{
    uint64_t index;
    enum status status = machine_take_number(machine, 4, &index);
    return status ? status : memo_get(machine, index);
}

static enum status push_symbol(struct machine *machine, struct pickle_text module, struct pickle_text name)
{
    const struct pickle_symbol *symbol = pickle_symbol_find(module, name);
    if (!symbol)
        return opaque_push_name(machine, module, name);
    return machine_push(machine, (struct pickle_value){.kind = PICKLE_SYMBOL, .symbol = symbol});
}

static enum status take_line(struct machine *machine, struct pickle_text *line)
{
    const unsigned char *begin = machine->bytes + machine->at;
    const unsigned char *end = memchr(begin, '\n', machine->size_bytes - machine->at);
    if (!end)
        return machine_fail(machine, "a line without an end: the file is cut off or damaged");
    *line = (struct pickle_text){(const char *)begin, (size_t)(end - begin)};
    machine->at += line->size_bytes + 1;
    return STATUS_OK;
}

static enum status global(struct machine *machine)
{
    struct pickle_text module, name;
    enum status status = take_line(machine, &module);
    if (!status)
        status = take_line(machine, &name);
    return status ? status : push_symbol(machine, module, name);
}

static enum status stack_global(struct machine *machine)
{
    struct pickle_value *module, *name;
    enum status status = machine_pop(machine, &name);
    if (!status)
        status = machine_pop(machine, &module);
    if (!status && (module->kind != PICKLE_TEXT || name->kind != PICKLE_TEXT))
        return machine_fail(machine, "a global must be named by two texts");
    return status ? status : push_symbol(machine, module->text, name->text);
}

static enum status binpersid(struct machine *machine)
{
    struct pickle_value *id, made;
    enum status status = machine_pop(machine, &id);
    if (status)
        return status;
    if (id->kind != PICKLE_TUPLE)
        return machine_fail(machine, "a persistent id must be a tuple");
    const char *reason = pickle_make_storage(&id->items, &made);
    return reason ? machine_fail(machine, "%s", reason) : machine_push(machine, made);
}

/* Calls `symbol`(arguments), the two uppermost values. */
static enum status reduce(struct machine *machine)
{
    struct pickle_value *arguments, *callee, made;
    enum status status = machine_pop(machine, &arguments);
    if (!status)
        status = machine_pop(machine, &callee);
    if (status)
        return status;
    if (arguments->kind != PICKLE_TUPLE || (callee->kind != PICKLE_SYMBOL && callee->kind != PICKLE_OPAQUE))
        return machine_fail(machine, "a call must be of a symbol with a tuple");
    if (callee->kind == PICKLE_OPAQUE)
        return opaque_push_name(machine, callee->opaque.module, callee->opaque.name);
    const char *reason = pickle_call(callee->symbol, &arguments->items, &made);
    return reason ? machine_fail(machine, "%s", reason) : machine_push(machine, made);
}

/* Drops the attributes of an object. A state dict carries its _metadata as one, and we have no use for it. */
static enum status build(struct machine *machine)
{
    struct pickle_value *state, *object;
    enum status status = machine_pop(machine, &state);
    if (!status)
        status = machine_top(machine, &object);
    if (!status && object->kind != PICKLE_OPAQUE &&
        (object->kind != PICKLE_DICT || state->kind != PICKLE_DICT))
        return machine_fail(machine, "attributes are only known of a dict");
    return status;
}

static enum status (*const operations[256])(struct machine *) = {
    [0x80] = proto,
    [0x95] = frame,
    ['.'] = stop,
    ['N'] = none,
    [0x88] = newtrue,
    [0x89] = newfalse,
    ['J'] = binint,
    ['K'] = binint1,
    ['M'] = binint2,
    [0x8A] = long1,
    [0x8B] = opaque_long4,
    ['G'] = binfloat,
    ['X'] = binunicode,
    [0x8C] = short_binunicode,
    [0x8D] = binunicode8,
    ['B'] = opaque_binbytes,
    ['C'] = opaque_short_binbytes,
    [0x8E] = opaque_binbytes8,
    [0x96] = opaque_binbytes8 /* BYTEARRAY8 */,
    [0x8F] = opaque_empty_set,
    [0x90] = opaque_additems,
    [0x91] = opaque_frozenset,
    ['}'] = empty_dict,
    [']'] = empty_list,
    ['('] = mark,
    [')'] = empty_tuple,
    [0x85] = tuple1,
    [0x86] = tuple2,
    [0x87] = tuple3,
    ['t'] = tuple,
    ['a'] = append,
    ['e'] = appends,
    ['s'] = setitem,
    ['u'] = setitems,
    ['q'] = binput,
    ['r'] = long_binput,
    [0x94] = memoize,
    ['h'] = binget,
    ['j'] = long_binget,
    ['c'] = global,
    [0x93] = stack_global,
    ['Q'] = binpersid,
    ['R'] = reduce,
    [0x81] = reduce /* NEWOBJ: of a symbol with a tuple, too */,
    [0x92] = opaque_newobj_ex,
    ['b'] = build,
};

enum status machine_operate(struct machine *machine, unsigned char opcode)
{
    if (!operations[opcode])
        return machine_fail(machine, "opcode 0x%02X is no part of a checkpoint of weights", opcode);
    return operations[opcode](machine);
}
