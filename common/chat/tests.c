#include "common/chat/tests.h"

#include <string.h>

#include "common/chat/text_builder.h"

static const char *const names[] = {
    "defined", "undefined", "none",        "boolean",  "true",     "false",    "integer",  "float",
    "number",  "string",    "mapping",     "sequence", "iterable", "callable", "in",       "eq",
    "equalto", "ne",        "lt",          "le",       "gt",       "ge",       "lessthan", "greaterthan",
    "odd",     "even",      "divisibleby", "sameas",   "upper",    "lower",    NULL};

bool test_is_known(const char *name)
{
    for (const char *const *known = names; *known; known++) {
        if (!strcmp(*known, name))
            return true;
    }
    return false;
}

bool value_contains(struct machine *machine, struct value whole, struct value part)
{
    if (whole.kind == VALUE_TEXT) {
        if (part.kind != VALUE_TEXT) {
            bounded_fail(machine, "only a text can be in a text, not %s", value_kind_name(part));
            return false;
        }
        return part.text.size == 0 || text_find(whole.text, part.text, 0) != SIZE_MAX;
    }
    if (whole.kind == VALUE_DICT)
        return dict_find_value(whole.dict, part) != NULL;
    const struct list *list = value_items(machine, whole);
    for (size_t i = 0; i < list->n && bounded_step(machine, 1); i++) {
        if (value_equals(list->items[i], part))
            return true;
    }
    return false;
}

static int64_t whole_number(struct machine *machine, struct value value)
{
    if (value.kind != VALUE_INTEGER)
        bounded_fail(machine, "a whole number is needed, not %s", value_kind_name(value));
    return value.kind == VALUE_INTEGER ? value.integer : 1;
}

static bool is(const char *name, const char *one, const char *other)
{
    return !strcmp(name, one) || (other && !strcmp(name, other));
}

static bool of_kind(const char *name, struct value value, bool *known)
{
    *known = true;
    if (is(name, "defined", NULL))
        return value.kind != VALUE_UNDEFINED;
    if (is(name, "undefined", NULL))
        return value.kind == VALUE_UNDEFINED;
    if (is(name, "none", NULL))
        return value.kind == VALUE_NONE;
    if (is(name, "boolean", NULL))
        return value.kind == VALUE_BOOLEAN;
    if (is(name, "true", "false"))
        return value.kind == VALUE_BOOLEAN && value.boolean == (*name == 't');
    if (is(name, "integer", NULL))
        return value.kind == VALUE_INTEGER;
    if (is(name, "float", NULL))
        return value.kind == VALUE_FLOAT;
    if (is(name, "number", NULL))
        return value_is_number(value);
    if (is(name, "string", NULL))
        return value.kind == VALUE_TEXT;
    if (is(name, "mapping", NULL))
        return value.kind == VALUE_DICT;
    if (is(name, "sequence", "iterable"))
        return value.kind == VALUE_TEXT || value.kind == VALUE_LIST || value.kind == VALUE_DICT ||
               value.kind == VALUE_UNDEFINED;
    if (is(name, "callable", NULL))
        return value.kind == VALUE_MACRO || value.kind == VALUE_METHOD;
    *known = false;
    return false;
}

/* ASCII only: no published template asks it of more. */
static bool has_case(struct machine *machine, struct value value, bool upper)
{
    struct text text = value_print(machine, value);
    bool any = false;
    for (size_t i = 0; i < text.size; i++) {
        bool small = text.bytes[i] >= 'a' && text.bytes[i] <= 'z',
             capital = text.bytes[i] >= 'A' && text.bytes[i] <= 'Z';
        if (upper ? small : capital)
            return false;
        any |= small || capital;
    }
    return any;
}

bool test_apply(struct machine *machine, const char *name, struct value value, struct value argument)
{
    bool known, answer = of_kind(name, value, &known);
    if (known)
        return answer;
    if (is(name, "in", NULL))
        return value_contains(machine, argument, value);
    if (is(name, "eq", "equalto"))
        return value_equals(value, argument);
    if (is(name, "sameas", NULL))
        return value.kind == argument.kind && value_equals(value, argument);
    if (is(name, "ne", NULL))
        return !value_equals(value, argument);
    if (is(name, "upper", "lower"))
        return has_case(machine, value, *name == 'u');
    if (is(name, "odd", "even"))
        return (whole_number(machine, value) % 2 != 0) == (*name == 'o');
    if (is(name, "divisibleby", NULL)) {
        int64_t by = whole_number(machine, argument);
        return by != 0 && whole_number(machine, value) % (by == -1 ? 1 : by) == 0;
    }
    int order = value_compare(machine, value, argument);
    if (is(name, "lt", "lessthan"))
        return order < 0;
    if (is(name, "gt", "greaterthan"))
        return order > 0;
    return is(name, "le", NULL) ? order <= 0 : order >= 0;
}
