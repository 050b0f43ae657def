#include "common/chat/filters.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/chat/methods.h"
#include "common/chat/tests.h"
#include "common/chat/text_builder.h"

enum { INDENT_MAX = 40 };

typedef struct value filter_function(struct machine *machine, struct value value, const struct call *call);

/* ---- texts ---- */

static struct value filter_trim(struct machine *machine, struct value value, const struct call *call)
{
    struct value set = call_argument(call, 0, "chars", value_string(""));
    return value_text(
        text_strip(value_print(machine, value), set.kind == VALUE_TEXT ? set.text : text_of(""), true, true));
}

static struct value filter_upper(struct machine *machine, struct value value, const struct call *call)
{
    (void)call;
    return value_text(text_upper(machine, value_print(machine, value)));
}

static struct value filter_lower(struct machine *machine, struct value value, const struct call *call)
{
    (void)call;
    return value_text(text_lower(machine, value_print(machine, value)));
}

static struct value filter_title(struct machine *machine, struct value value, const struct call *call)
{
    (void)call;
    return value_text(text_title(machine, value_print(machine, value)));
}

static struct value filter_capitalize(struct machine *machine, struct value value, const struct call *call)
{
    (void)call;
    return value_text(text_capitalize(machine, value_print(machine, value)));
}

static struct value filter_string(struct machine *machine, struct value value, const struct call *call)
{
    (void)call;
    return value_text(value_print(machine, value));
}

static struct value filter_replace(struct machine *machine, struct value value, const struct call *call)
{
    struct value most = call_argument(call, 2, "count", value_none());
    return value_text(text_replace(machine, value_print(machine, value),
                                   value_print(machine, call_argument(call, 0, "old", value_string(""))),
                                   value_print(machine, call_argument(call, 1, "new", value_string(""))),
                                   most.kind == VALUE_INTEGER ? most.integer : -1));
}

/* Every line but the first gets the blanks; empty ones only if asked. */
static struct value filter_indent(struct machine *machine, struct value value, const struct call *call)
{
    struct text text = value_print(machine, value);
    struct value width = call_argument(call, 0, "width", value_integer(4));
    bool first = value_is_true(call_argument(call, 1, "first", value_boolean(false))),
         blank = value_is_true(call_argument(call, 2, "blank", value_boolean(false)));
    struct text_builder out = {.machine = machine};
    char spaces[INDENT_MAX + 1];
    if (width.kind != VALUE_TEXT &&
        (width.kind != VALUE_INTEGER || width.integer < 0 || width.integer > INDENT_MAX)) {
        bounded_fail(machine, "indent: the width must be a text or a number from 0 to %d", INDENT_MAX);
        return value_none();
    }
    memset(spaces, ' ', sizeof spaces);
    struct text by =
        width.kind == VALUE_TEXT ? width.text : (struct text){spaces, (size_t)width.integer, NULL};
    for (size_t at = 0, end; at <= text.size && bounded_step(machine, 1); at = end + 1) {
        const char *stop = at < text.size ? memchr(text.bytes + at, '\n', text.size - at) : NULL;
        end = stop ? (size_t)(stop - text.bytes) : text.size;
        if ((at > 0 || first) && (blank || end > at))
            builder_add(&out, by);
        builder_add(&out, text_part(text, at, end < text.size ? end + 1 : end));
    }
    return value_text(builder_text(&out));
}

static struct value filter_tojson(struct machine *machine, struct value value, const struct call *call)
{
    struct value indent = call_argument(call, 0, "indent", value_none());
    if (call_has(call, 1, "separators") || call_has(call, 1, "sort_keys"))
        bounded_fail(machine, "tojson: only indent is supported");
    if (indent.kind == VALUE_INTEGER && (indent.integer < 0 || indent.integer > INDENT_MAX))
        bounded_fail(machine, "tojson: the indent must be 0 to %d", INDENT_MAX);
    return value_text(value_json(machine, value, indent.kind == VALUE_INTEGER ? (int)indent.integer : -1));
}

/* ---- values ---- */

static struct value filter_default(struct machine *machine, struct value value, const struct call *call)
{
    (void)machine;
    bool falsy = value_is_true(call_argument(call, 1, "boolean", value_boolean(false)));
    if (value.kind == VALUE_UNDEFINED || (falsy && !value_is_true(value)))
        return call_argument(call, 0, "default_value", value_string(""));
    return value;
}

static struct value filter_int(struct machine *machine, struct value value, const struct call *call)
{
    struct value fallback = call_argument(call, 0, "default", value_integer(0));
    if (value.kind == VALUE_FLOAT)
        return fabs(value.number) < 9e18 ? value_integer((int64_t)value.number) : fallback;
    if (value_is_number(value))
        return value_integer((int64_t)value_number(value));
    if (value.kind != VALUE_TEXT)
        return fallback;
    struct text text = text_strip(value.text, text_of(""), true, true);
    char digits[32], *end;
    if (text.size == 0 || text.size >= sizeof digits)
        return fallback;
    memcpy(digits, text.bytes, text.size);
    digits[text.size] = '\0';
    double number = strtod(digits, &end);
    (void)machine;
    return *end || fabs(number) > 9e15 ? fallback : value_integer((int64_t)number);
}

static struct value filter_float(struct machine *machine, struct value value, const struct call *call)
{
    char digits[64], *end;
    (void)machine;
    if (value_is_number(value))
        return value_float(value_number(value));
    if (value.kind == VALUE_TEXT && value.text.size && value.text.size < sizeof digits) {
        memcpy(digits, value.text.bytes, value.text.size);
        digits[value.text.size] = '\0';
        double number = strtod(digits, &end);
        if (!*end)
            return value_float(number);
    }
    return call_argument(call, 0, "default", value_float(0));
}

static struct value filter_abs(struct machine *machine, struct value value, const struct call *call)
{
    (void)call;
    if (!value_is_number(value))
        bounded_fail(machine, "abs: %s is no number", value_kind_name(value));
    if (value.kind == VALUE_FLOAT)
        return value_float(fabs(value.number));
    return value_integer(value_number(value) < 0 && value.integer != INT64_MIN ? -value.integer
                                                                               : value.integer);
}

static struct value filter_length(struct machine *machine, struct value value, const struct call *call)
{
    (void)call;
    return value_integer((int64_t)value_length(machine, value));
}

static struct value filter_safe(struct machine *machine, struct value value, const struct call *call)
{
    (void)machine;
    (void)call;
    return value;
}

/* ---- lists ---- */

static struct value filter_list(struct machine *machine, struct value value, const struct call *call)
{
    struct value list = value_list(machine);
    const struct list *items = value_items(machine, value);
    (void)call;
    for (size_t i = 0; i < items->n && bounded_step(machine, 1); i++)
        list_add(machine, list.list, items->items[i]);
    return list;
}

static struct value filter_first(struct machine *machine, struct value value, const struct call *call)
{
    const struct list *items = value_items(machine, value);
    (void)call;
    return items->n ? items->items[0] : value_undefined("the first of nothing");
}

static struct value filter_last(struct machine *machine, struct value value, const struct call *call)
{
    const struct list *items = value_items(machine, value);
    (void)call;
    return items->n ? items->items[items->n - 1] : value_undefined("the last of nothing");
}

static struct value filter_reverse(struct machine *machine, struct value value, const struct call *call)
{
    struct value list = value_list(machine);
    const struct list *items = value_items(machine, value);
    struct text_builder out = {.machine = machine};
    (void)call;
    for (size_t i = items->n; i > 0 && bounded_step(machine, 1); i--) {
        if (value.kind == VALUE_TEXT)
            builder_add(&out, items->items[i - 1].text);
        else
            list_add(machine, list.list, items->items[i - 1]);
    }
    return value.kind == VALUE_TEXT ? value_text(builder_text(&out)) : list;
}

/* An attribute may be a path: "function.name". */
static struct value attribute_path(struct machine *machine, struct value value, struct value path)
{
    if (path.kind == VALUE_INTEGER)
        return item_get(machine, value, path);
    struct text rest = value_print(machine, path);
    for (size_t at; rest.size && bounded_step(machine, 1); rest = text_part(rest, at, rest.size)) {
        size_t dot = text_find(rest, text_of("."), 0);
        struct text name = text_part(rest, 0, dot == SIZE_MAX ? rest.size : dot);
        value = item_get(machine, value, value_text(name));
        at = dot == SIZE_MAX ? rest.size : dot + 1;
    }
    return value;
}

static struct value filter_join(struct machine *machine, struct value value, const struct call *call)
{
    struct text_builder out = {.machine = machine};
    struct text separator = value_print(machine, call_argument(call, 0, "d", value_string("")));
    const struct list *items = value_items(machine, value);
    for (size_t i = 0; i < items->n && bounded_step(machine, 1); i++) {
        struct value item = items->items[i];
        if (call_has(call, 1, "attribute"))
            item = attribute_path(machine, item, call_argument(call, 1, "attribute", value_none()));
        if (i)
            builder_add(&out, separator);
        builder_add(&out, value_print(machine, item));
    }
    return value_text(builder_text(&out));
}

static struct value filter_items(struct machine *machine, struct value value, const struct call *call)
{
    (void)call;
    if (value.kind == VALUE_UNDEFINED)
        return value_list(machine);
    if (value.kind != VALUE_DICT) {
        bounded_fail(machine, "items: %s is no dict", value_kind_name(value));
        return value_list(machine);
    }
    return dict_items(machine, value.dict);
}

/* A stable insertion sort: lists of templates are short, and the steps are counted. */
static void sort(struct machine *machine, struct list *list, bool reverse, struct value attribute,
                 bool case_matters)
{
    for (size_t i = 1; i < list->n; i++) {
        struct value item = list->items[i], key = attribute_path(machine, item, attribute);
        size_t at = i;
        if (key.kind == VALUE_TEXT && !case_matters)
            key = value_text(text_lower(machine, key.text));
        for (; at > 0 && bounded_step(machine, 1); at--) {
            struct value other = attribute_path(machine, list->items[at - 1], attribute);
            if (other.kind == VALUE_TEXT && !case_matters)
                other = value_text(text_lower(machine, other.text));
            int order = value_compare(machine, other, key);
            if (bounded_failed(machine) || (reverse ? order >= 0 : order <= 0))
                break;
            list->items[at] = list->items[at - 1];
        }
        list->items[at] = item;
    }
}

static struct value filter_sort(struct machine *machine, struct value value, const struct call *call)
{
    struct value list = filter_list(machine, value, call);
    sort(machine, list.list, value_is_true(call_argument(call, 0, "reverse", value_boolean(false))),
         call_argument(call, 2, "attribute", value_string("")),
         value_is_true(call_argument(call, 1, "case_sensitive", value_boolean(false))));
    return list;
}

static struct value filter_dictsort(struct machine *machine, struct value value, const struct call *call)
{
    struct value list = filter_items(machine, value, call);
    if (call->n || call->keywords->n)
        bounded_fail(machine, "dictsort with arguments is not supported");
    sort(machine, list.list, false, value_integer(0), false);
    return list;
}

static struct value filter_unique(struct machine *machine, struct value value, const struct call *call)
{
    struct value list = value_list(machine);
    const struct list *items = value_items(machine, value);
    (void)call;
    for (size_t i = 0; i < items->n && bounded_step(machine, 1 + list.list->n); i++) {
        if (!value_contains(machine, list, items->items[i]))
            list_add(machine, list.list, items->items[i]);
    }
    return list;
}

/* min, max */
static struct value extreme(struct machine *machine, struct value value, int sign)
{
    const struct list *items = value_items(machine, value);
    struct value best = items->n ? items->items[0] : value_undefined("the extreme of nothing");
    for (size_t i = 1; i < items->n && bounded_step(machine, 1); i++) {
        if (value_compare(machine, items->items[i], best) * sign > 0)
            best = items->items[i];
    }
    return best;
}

static struct value filter_min(struct machine *machine, struct value value, const struct call *call)
{
    (void)call;
    return extreme(machine, value, -1);
}

static struct value filter_max(struct machine *machine, struct value value, const struct call *call)
{
    (void)call;
    return extreme(machine, value, 1);
}

/* map(attribute="role", default=x), map("upper") */
static struct value filter_map(struct machine *machine, struct value value, const struct call *call)
{
    struct value list = value_list(machine),
                 attribute = call_argument(call, SIZE_MAX, "attribute", value_none()),
                 name = call_argument(call, 0, NULL, value_none());
    const struct list *items = value_items(machine, value);
    static const struct dict nothing;
    const struct call inner = {call->positional + 1, call->n ? call->n - 1 : 0, &nothing};
    char filter[32] = "";
    if (name.kind == VALUE_TEXT && name.text.size < sizeof filter)
        memcpy(filter, name.text.bytes, name.text.size);
    if (attribute.kind == VALUE_NONE && (!filter_is_known(filter) || !strcmp(filter, "map")))
        bounded_fail(machine, "map: the filter '%.40s' is not supported", filter);
    for (size_t i = 0; i < items->n && bounded_step(machine, 1); i++) {
        struct value item = items->items[i];
        if (attribute.kind == VALUE_NONE) {
            item = filter_apply(machine, filter, item, &inner);
        } else {
            item = attribute_path(machine, item, attribute);
            if (item.kind == VALUE_UNDEFINED)
                item = call_argument(call, SIZE_MAX, "default", item);
        }
        list_add(machine, list.list, item);
    }
    return list;
}

/* selectattr(attribute, test, argument), select(test, argument), and their opposites */
static struct value choose(struct machine *machine, struct value value, const struct call *call,
                           bool by_attribute, bool keep)
{
    struct value list = value_list(machine), test = call_argument(call, by_attribute, NULL, value_none());
    const struct list *items = value_items(machine, value);
    char name[32] = "";
    static const char *const signs[][2] = {{"==", "eq"}, {"!=", "ne"}, {">", "gt"},
                                           {">=", "ge"}, {"<", "lt"},  {"<=", "le"}};
    if (test.kind == VALUE_TEXT && test.text.size < sizeof name)
        memcpy(name, test.text.bytes, test.text.size);
    for (int i = 0; i < 6; i++) {
        if (!strcmp(name, signs[i][0]))
            strcpy(name, signs[i][1]);
    }
    if (test.kind != VALUE_NONE && !test_is_known(name))
        bounded_fail(machine, "the test '%.40s' is not supported", name);
    for (size_t i = 0; i < items->n && bounded_step(machine, 1); i++) {
        struct value item = items->items[i];
        if (by_attribute)
            item = attribute_path(machine, item, call_argument(call, 0, NULL, value_string("")));
        bool fits =
            test.kind == VALUE_NONE
                ? value_is_true(item)
                : test_apply(machine, name, item, call_argument(call, by_attribute + 1u, NULL, value_none()));
        if (fits == keep)
            list_add(machine, list.list, items->items[i]);
    }
    return list;
}

static struct value filter_select(struct machine *machine, struct value value, const struct call *call)
{
    return choose(machine, value, call, false, true);
}

static struct value filter_reject(struct machine *machine, struct value value, const struct call *call)
{
    return choose(machine, value, call, false, false);
}

static struct value filter_selectattr(struct machine *machine, struct value value, const struct call *call)
{
    return choose(machine, value, call, true, true);
}

static struct value filter_rejectattr(struct machine *machine, struct value value, const struct call *call)
{
    return choose(machine, value, call, true, false);
}

static struct value filter_attr(struct machine *machine, struct value value, const struct call *call)
{
    return item_get(machine, value, call_argument(call, 0, "name", value_string("")));
}

static const struct filter {
    const char *name;
    filter_function *function;
} filters[] = {
    {"abs", filter_abs},
    {"attr", filter_attr},
    {"capitalize", filter_capitalize},
    {"count", filter_length},
    {"d", filter_default},
    {"default", filter_default},
    {"dictsort", filter_dictsort},
    {"first", filter_first},
    {"float", filter_float},
    {"indent", filter_indent},
    {"int", filter_int},
    {"items", filter_items},
    {"join", filter_join},
    {"last", filter_last},
    {"length", filter_length},
    {"list", filter_list},
    {"lower", filter_lower},
    {"map", filter_map},
    {"max", filter_max},
    {"min", filter_min},
    {"reject", filter_reject},
    {"rejectattr", filter_rejectattr},
    {"replace", filter_replace},
    {"reverse", filter_reverse},
    {"safe", filter_safe},
    {"select", filter_select},
    {"selectattr", filter_selectattr},
    {"sort", filter_sort},
    {"string", filter_string},
    {"title", filter_title},
    {"tojson", filter_tojson},
    {"trim", filter_trim},
    {"unique", filter_unique},
    {"upper", filter_upper},
};

static const struct filter *find(const char *name)
{
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++) {
        if (!strcmp(filters[i].name, name))
            return &filters[i];
    }
    return NULL;
}

bool filter_is_known(const char *name)
{
    return find(name) != NULL;
}

struct value filter_apply(struct machine *machine, const char *name, struct value value,
                          const struct call *call)
{
    const struct filter *filter = find(name);
    return filter && !bounded_failed(machine) ? filter->function(machine, value, call) : value_none();
}
