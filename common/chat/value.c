#include "common/chat/value.h"

#include <string.h>

#include "common/chat/text_builder.h"

struct value value_undefined(const char *name)
{
    return (struct value){.kind = VALUE_UNDEFINED, .text = text_of(name)};
}

struct value value_none(void)
{
    return (struct value){.kind = VALUE_NONE};
}

struct value value_boolean(bool boolean)
{
    return (struct value){.kind = VALUE_BOOLEAN, .boolean = boolean};
}

struct value value_integer(int64_t integer)
{
    return (struct value){.kind = VALUE_INTEGER, .integer = integer};
}

struct value value_float(double number)
{
    return (struct value){.kind = VALUE_FLOAT, .number = number};
}

struct value value_text(struct text text)
{
    return (struct value){.kind = VALUE_TEXT, .text = text};
}

struct value value_string(const char *text)
{
    return value_text(text_of(text));
}

struct value value_list(struct machine *machine)
{
    struct list *list = bounded_take(machine, sizeof *list);
    if (!list)
        list = memset(machine->spare, 0, sizeof machine->spare);
    *list = (struct list){0};
    return (struct value){.kind = VALUE_LIST, .list = list};
}

struct value value_dict(struct machine *machine)
{
    struct dict *dict = bounded_take(machine, sizeof *dict);
    if (!dict)
        dict = memset(machine->spare, 0, sizeof machine->spare);
    *dict = (struct dict){0};
    return (struct value){.kind = VALUE_DICT, .dict = dict};
}

enum { DEPTH_MAX = 40 };

/* Whoever goes through values calls itself for what is within. */
static bool deepen(struct machine *machine, int *depth, struct value item)
{
    int inner = item.kind == VALUE_LIST ? item.list->depth : item.kind == VALUE_DICT ? item.dict->depth : -1;
    if (inner + 1 > *depth)
        *depth = inner + 1;
    if (*depth > DEPTH_MAX)
        bounded_fail(machine, "a value is nested more than %d deep", DEPTH_MAX);
    return !bounded_failed(machine);
}

void list_add(struct machine *machine, struct list *list, struct value item)
{
    if (!deepen(machine, &list->depth, item))
        return;
    if (list->n == list->capacity) {
        size_t capacity = list->capacity * 2 + 4;
        struct value *items = bounded_take(machine, capacity * sizeof *items);
        if (!items)
            return;
        if (list->n)
            memcpy(items, list->items, list->n * sizeof *items);
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->n++] = item;
}

struct value *dict_find_value(const struct dict *dict, struct value key)
{
    for (size_t i = 0; i < dict->n; i++) {
        if (value_equals(dict->pairs[i].key, key))
            return &dict->pairs[i].value;
    }
    return NULL;
}

struct value *dict_find(const struct dict *dict, const char *key)
{
    return dict_find_value(dict, value_string(key));
}

void dict_set(struct machine *machine, struct dict *dict, struct value key, struct value value)
{
    struct value *present = dict_find_value(dict, key);
    if (!bounded_step(machine, dict->n) || !deepen(machine, &dict->depth, value))
        return;
    if (present) {
        *present = value;
        return;
    }
    if (dict->n == dict->capacity) {
        size_t capacity = dict->capacity * 2 + 4;
        struct pair *pairs = bounded_take(machine, capacity * sizeof *pairs);
        if (!pairs)
            return;
        if (dict->n)
            memcpy(pairs, dict->pairs, dict->n * sizeof *pairs);
        dict->pairs = pairs;
        dict->capacity = capacity;
    }
    dict->pairs[dict->n++] = (struct pair){key, value};
}

bool value_is_number(struct value value)
{
    return value.kind == VALUE_INTEGER || value.kind == VALUE_FLOAT || value.kind == VALUE_BOOLEAN;
}

double value_number(struct value value)
{
    return value.kind == VALUE_FLOAT     ? value.number
           : value.kind == VALUE_BOOLEAN ? (double)value.boolean
                                         : (double)value.integer;
}

bool value_is_true(struct value value)
{
    switch (value.kind) {
    case VALUE_UNDEFINED:
    case VALUE_NONE:
        return false;
    case VALUE_BOOLEAN:
        return value.boolean;
    case VALUE_INTEGER:
        return value.integer != 0;
    case VALUE_FLOAT:
        return value.number != 0;
    case VALUE_TEXT:
        return value.text.size != 0;
    case VALUE_LIST:
        return value.list->n != 0;
    case VALUE_DICT:
        return value.dict->n != 0;
    default:
        return true;
    }
}

static bool lists_equal(const struct list *a, const struct list *b)
{
    bool equal = a->n == b->n;
    for (size_t i = 0; equal && i < a->n; i++)
        equal = value_equals(a->items[i], b->items[i]);
    return equal;
}

static bool dicts_equal(const struct dict *a, const struct dict *b)
{
    bool equal = a->n == b->n;
    for (size_t i = 0; equal && i < a->n; i++) {
        struct value *other = dict_find_value(b, a->pairs[i].key);
        equal = other && value_equals(a->pairs[i].value, *other);
    }
    return equal;
}

bool value_equals(struct value a, struct value b)
{
    if (value_is_number(a) && value_is_number(b))
        return value_number(a) == value_number(b);
    if (a.kind != b.kind)
        return false;
    switch (a.kind) {
    case VALUE_UNDEFINED:
    case VALUE_NONE:
        return true;
    case VALUE_TEXT:
        return text_equal(a.text, b.text);
    case VALUE_LIST:
        return lists_equal(a.list, b.list);
    case VALUE_DICT:
        return dicts_equal(a.dict, b.dict);
    default:
        return a.dict == b.dict;
    }
}

int value_compare(struct machine *machine, struct value a, struct value b)
{
    if (value_is_number(a) && value_is_number(b)) {
        double x = value_number(a), y = value_number(b);
        return (x > y) - (x < y);
    }
    if (a.kind == VALUE_TEXT && b.kind == VALUE_TEXT) {
        size_t n = a.text.size < b.text.size ? a.text.size : b.text.size;
        int order = n ? memcmp(a.text.bytes, b.text.bytes, n) : 0;
        return order ? order : (a.text.size > b.text.size) - (a.text.size < b.text.size);
    }
    if (a.kind == VALUE_LIST && b.kind == VALUE_LIST) {
        for (size_t i = 0; i < a.list->n && i < b.list->n; i++) {
            if (!value_equals(a.list->items[i], b.list->items[i]))
                return value_compare(machine, a.list->items[i], b.list->items[i]);
        }
        return (a.list->n > b.list->n) - (a.list->n < b.list->n);
    }
    bounded_fail(machine, "%s and %s have no order between them", value_kind_name(a), value_kind_name(b));
    return 0;
}

const char *value_kind_name(struct value value)
{
    static const char *const names[] = {"undefined", "none", "bool",      "int",  "float", "str",
                                        "list",      "dict", "namespace", "loop", "macro", "method"};
    return names[value.kind];
}

static struct list *characters_of(struct machine *machine, struct text text)
{
    struct value list = value_list(machine);
    for (size_t at = 0; at < text.size && bounded_step(machine, 1);) {
        size_t end = at + 1;
        while (end < text.size && ((unsigned char)text.bytes[end] & 0xC0) == 0x80)
            end++;
        list_add(machine, list.list, value_text(text_part(text, at, end)));
        at = end;
    }
    return list.list;
}

struct list *value_items(struct machine *machine, struct value value)
{
    if (value.kind == VALUE_LIST)
        return value.list;
    if (value.kind == VALUE_UNDEFINED)
        return value_list(machine).list;
    if (value.kind == VALUE_TEXT)
        return characters_of(machine, value.text);
    if (value.kind != VALUE_DICT) {
        bounded_fail(machine, "%s has no items to go through", value_kind_name(value));
        return value_list(machine).list;
    }
    struct value keys = value_list(machine);
    for (size_t i = 0; i < value.dict->n; i++)
        list_add(machine, keys.list, value.dict->pairs[i].key);
    return keys.list;
}

size_t value_length(struct machine *machine, struct value value)
{
    switch (value.kind) {
    case VALUE_UNDEFINED:
        return 0;
    case VALUE_TEXT:
        return text_length(value.text);
    case VALUE_LIST:
        return value.list->n;
    case VALUE_DICT:
        return value.dict->n;
    default:
        bounded_fail(machine, "%s has no length", value_kind_name(value));
        return 0;
    }
}
