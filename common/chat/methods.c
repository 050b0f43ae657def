#include "common/chat/methods.h"

#include <ctype.h>
#include <string.h>

#include "common/chat/tests.h"
#include "common/chat/text_builder.h"
#include "common/tokenizer/unicode.h"
#include "common/utf8.h"

/* ---- case ---- */

enum change { LOWER, UPPER, CAPITALIZE, TITLE };

/* Of each character its one small or capital letter: enough for texts of templates. */
static struct text change_case(struct machine *machine, struct text text, enum change change)
{
    struct text_builder out = {.machine = machine};
    bool begins = true;
    for (size_t at = 0; at < text.size && bounded_step(machine, 1);) {
        uint32_t character = 0;
        char bytes[4];
        int n = utf8_read(text.bytes + at, text.size - at, &character);
        bool upper = change == UPPER || ((change == CAPITALIZE || change == TITLE) && begins);
        character = upper ? unicode_upper(character) : unicode_lower(character);
        builder_add_bytes(&out, bytes, (size_t)utf8_write(character, bytes), text.users ? text.users[at] : 0);
        begins = change == TITLE && unicode_class(character) != UNICODE_LETTER;
        at += (size_t)(n ? n : 1);
    }
    return builder_text(&out);
}

struct text text_lower(struct machine *machine, struct text text)
{
    return change_case(machine, text, LOWER);
}

struct text text_upper(struct machine *machine, struct text text)
{
    return change_case(machine, text, UPPER);
}

struct text text_capitalize(struct machine *machine, struct text text)
{
    return change_case(machine, text, CAPITALIZE);
}

struct text text_title(struct machine *machine, struct text text)
{
    return change_case(machine, text, TITLE);
}

/* ---- what is shared ---- */

/* An empty `old` stands between all characters, as in Python. */
struct text text_replace(struct machine *machine, struct text text, struct text old, struct text with,
                         int64_t most)
{
    struct text_builder out = {.machine = machine};
    size_t done = 0;
    while (most != 0 && bounded_step(machine, 1)) {
        size_t at = old.size ? text_find(text, old, done) : done;
        if (at == SIZE_MAX || at > text.size)
            break;
        builder_add(&out, text_part(text, done, at));
        builder_add(&out, with);
        done = at + old.size;
        if (old.size == 0) {
            size_t next = at + text_offset(text_part(text, at, text.size), 1);
            builder_add(&out, text_part(text, at, next));
            done = next;
            if (at == text.size)
                return builder_text(&out);
        }
        most--;
    }
    builder_add(&out, text_part(text, done, text.size));
    return builder_text(&out);
}

struct value dict_items(struct machine *machine, const struct dict *dict)
{
    struct value all = value_list(machine);
    for (size_t i = 0; i < dict->n && bounded_step(machine, 1); i++) {
        struct value pair = value_list(machine);
        pair.is_tuple = true;
        list_add(machine, pair.list, dict->pairs[i].key);
        list_add(machine, pair.list, dict->pairs[i].value);
        list_add(machine, all.list, pair);
    }
    return all;
}

/* ---- attributes and items ---- */

static struct value loop_attribute(const struct loop *loop, const char *name)
{
    size_t n = loop->items->n, i = loop->index0;
    if (!strcmp(name, "index"))
        return value_integer((int64_t)i + 1);
    if (!strcmp(name, "index0"))
        return value_integer((int64_t)i);
    if (!strcmp(name, "revindex"))
        return value_integer((int64_t)(n - i));
    if (!strcmp(name, "revindex0"))
        return value_integer((int64_t)(n - i) - 1);
    if (!strcmp(name, "first"))
        return value_boolean(i == 0);
    if (!strcmp(name, "last"))
        return value_boolean(i + 1 == n);
    if (!strcmp(name, "length"))
        return value_integer((int64_t)n);
    if (!strcmp(name, "depth"))
        return value_integer(loop->depth);
    if (!strcmp(name, "depth0"))
        return value_integer(loop->depth - 1);
    if (!strcmp(name, "previtem"))
        return i > 0 ? loop->items->items[i - 1] : value_undefined(name);
    if (!strcmp(name, "nextitem"))
        return i + 1 < n ? loop->items->items[i + 1] : value_undefined(name);
    return value_undefined(name);
}

static bool has_method(struct value value, const char *name)
{
    static const char *const of_text[] = {
        "strip", "lstrip",     "rstrip",       "split",        "rsplit",  "splitlines", "upper",    "lower",
        "title", "capitalize", "replace",      "find",         "rfind",   "startswith", "endswith", "join",
        "count", "index",      "removeprefix", "removesuffix", "isdigit", "isspace",    NULL};
    static const char *const of_dict[] = {"get", "items", "keys", "values", NULL};
    static const char *const of_list[] = {"index", "count", NULL};
    static const char *const of_loop[] = {"cycle", NULL};
    const char *const *known = value.kind == VALUE_TEXT   ? of_text
                               : value.kind == VALUE_DICT ? of_dict
                               : value.kind == VALUE_LIST ? of_list
                               : value.kind == VALUE_LOOP ? of_loop
                                                          : of_loop + 1;
    while (*known && strcmp(*known, name) != 0)
        known++;
    return *known != NULL;
}

static struct value method_of(struct machine *machine, struct value self, const char *name)
{
    struct value method = {.kind = VALUE_METHOD, .text = text_of(name)};
    method.self = bounded_take(machine, sizeof self);
    if (!method.self)
        return value_none();
    *method.self = self;
    return method;
}

struct value attribute_get(struct machine *machine, struct value value, const char *name)
{
    if (value.kind == VALUE_UNDEFINED) {
        bounded_fail(machine, "'%.*s' is undefined, so it has no '%.60s'", (int)value.text.size,
                     value.text.bytes, name);
        return value;
    }
    if (has_method(value, name))
        return method_of(machine, value, name);
    if (value.kind == VALUE_LOOP)
        return loop_attribute(value.loop, name);
    struct value *item =
        value.kind == VALUE_DICT || value.kind == VALUE_NAMESPACE ? dict_find(value.dict, name) : NULL;
    return item ? *item : value_undefined(name);
}

struct value item_get(struct machine *machine, struct value value, struct value key)
{
    if (value.kind == VALUE_UNDEFINED) {
        bounded_fail(machine, "'%.*s' is undefined, so it has no items", (int)value.text.size,
                     value.text.bytes);
        return value;
    }
    if (value.kind == VALUE_DICT) {
        struct value *item = dict_find_value(value.dict, key);
        if (item)
            return *item;
    } else if (key.kind == VALUE_INTEGER && (value.kind == VALUE_LIST || value.kind == VALUE_TEXT)) {
        int64_t n = (int64_t)value_length(machine, value),
                i = key.integer < 0 ? key.integer + n : key.integer;
        if (i < 0 || i >= n)
            return value_undefined("an item out of range");
        if (value.kind == VALUE_LIST)
            return value.list->items[i];
        size_t start = text_offset(value.text, (size_t)i);
        struct text rest = text_part(value.text, start, value.text.size);
        return value_text(text_part(rest, 0, text_offset(rest, 1)));
    }
    if (key.kind == VALUE_TEXT) {
        char *name = bounded_take(machine, key.text.size);
        if (!name)
            return value_none();
        memcpy(name, key.text.bytes, key.text.size);
        name[key.text.size] = '\0';
        return attribute_get(machine, value, name);
    }
    return value_undefined("an item");
}

/* ---- methods of texts ---- */

static struct text text_argument(struct machine *machine, const struct call *call, size_t place,
                                 const char *name, struct value fallback)
{
    struct value value = call_argument(call, place, name, fallback);
    if (value.kind == VALUE_TEXT)
        return value.text;
    if (value.kind != VALUE_NONE)
        bounded_fail(machine, "a text is needed as an argument, not %s", value_kind_name(value));
    return text_of("");
}

static int64_t whole_argument(struct machine *machine, const struct call *call, size_t place,
                              const char *name, int64_t fallback)
{
    struct value value = call_argument(call, place, name, value_integer(fallback));
    if (value.kind != VALUE_INTEGER)
        bounded_fail(machine, "a whole number is needed as an argument, not %s", value_kind_name(value));
    return value.kind == VALUE_INTEGER ? value.integer : fallback;
}

/* Between runs of white space; none at the ends. */
static struct value split_words(struct machine *machine, struct text text, int64_t most)
{
    struct value list = value_list(machine);
    struct text rest = text_strip(text, text_of(""), true, false);
    while (rest.size && bounded_step(machine, 1)) {
        size_t at = 0;
        while (at < rest.size &&
               text_strip(text_part(rest, at, rest.size), text_of(""), true, false).size == rest.size - at)
            at += text_offset(text_part(rest, at, rest.size), 1);
        if (most-- == 0)
            at = text_strip(rest, text_of(""), false, true).size;
        list_add(machine, list.list, value_text(text_part(rest, 0, at)));
        rest = text_strip(text_part(rest, at, rest.size), text_of(""), true, false);
    }
    return list;
}

static struct value split(struct machine *machine, struct text text, const struct call *call)
{
    int64_t most = whole_argument(machine, call, 1, "maxsplit", -1);
    struct value given = call_argument(call, 0, "sep", value_none());
    if (given.kind == VALUE_NONE)
        return split_words(machine, text, most);
    struct text separator = text_argument(machine, call, 0, "sep", given);
    struct value list = value_list(machine);
    size_t done = 0, at;
    if (separator.size == 0)
        bounded_fail(machine, "split by an empty text");
    while (most-- != 0 && (at = text_find(text, separator, done)) != SIZE_MAX && bounded_step(machine, 1)) {
        list_add(machine, list.list, value_text(text_part(text, done, at)));
        done = at + separator.size;
    }
    list_add(machine, list.list, value_text(text_part(text, done, text.size)));
    return list;
}

static size_t find_last(struct text text, struct text part, size_t end)
{
    for (size_t at = end < part.size ? 0 : end - part.size + 1; at > 0; at--) {
        if (text_equal(text_part(text, at - 1, at - 1 + part.size), part))
            return at - 1;
    }
    return SIZE_MAX;
}

static struct value rsplit(struct machine *machine, struct text text, const struct call *call)
{
    int64_t most = whole_argument(machine, call, 1, "maxsplit", -1);
    struct text separator = text_argument(machine, call, 0, "sep", value_none());
    struct value backwards = value_list(machine), list = value_list(machine);
    size_t end = text.size, at;
    if (separator.size == 0)
        bounded_fail(machine, "rsplit without a separator is not supported");
    while (most-- != 0 && bounded_step(machine, 1) && (at = find_last(text, separator, end)) != SIZE_MAX) {
        list_add(machine, backwards.list, value_text(text_part(text, at + separator.size, end)));
        end = at;
    }
    list_add(machine, list.list, value_text(text_part(text, 0, end)));
    for (size_t i = backwards.list->n; i > 0; i--)
        list_add(machine, list.list, backwards.list->items[i - 1]);
    return list;
}

static struct value split_lines(struct machine *machine, struct text text)
{
    struct value list = value_list(machine);
    for (size_t at = 0, end; at < text.size && bounded_step(machine, 1); at = end) {
        for (end = at; end < text.size && text.bytes[end] != '\n' && text.bytes[end] != '\r';)
            end++;
        list_add(machine, list.list, value_text(text_part(text, at, end)));
        end += end + 1 < text.size && text.bytes[end] == '\r' && text.bytes[end + 1] == '\n' ? 2 : 1;
    }
    return list;
}

static bool touches(struct text text, struct text part, bool start)
{
    return part.size <= text.size && text_equal(start ? text_part(text, 0, part.size)
                                                      : text_part(text, text.size - part.size, text.size),
                                                part);
}

/* startswith and endswith take one text or several. */
static struct value touches_any(struct machine *machine, struct text text, const struct call *call,
                                bool start)
{
    struct value given = call_argument(call, 0, "prefix", value_none());
    if (given.kind != VALUE_LIST)
        return value_boolean(touches(text, text_argument(machine, call, 0, "prefix", given), start));
    bool any = false;
    for (size_t i = 0; i < given.list->n && !any; i++)
        any = given.list->items[i].kind == VALUE_TEXT && touches(text, given.list->items[i].text, start);
    return value_boolean(any);
}

static struct value find(struct machine *machine, struct text text, const struct call *call, const char *name)
{
    struct text part = text_argument(machine, call, 0, "sub", value_none());
    size_t at = part.size == 0 ? (*name == 'r' ? text.size : 0)
                : *name == 'r' ? find_last(text, part, text.size)
                               : text_find(text, part, 0);
    if (at == SIZE_MAX && *name == 'i')
        bounded_fail(machine, "index: the text is not there");
    return value_integer(at == SIZE_MAX ? -1 : (int64_t)text_length(text_part(text, 0, at)));
}

static struct value count(struct machine *machine, struct text text, const struct call *call)
{
    struct text part = text_argument(machine, call, 0, "sub", value_none());
    int64_t n = 0;
    for (size_t at = 0; (at = text_find(text, part, at)) != SIZE_MAX && bounded_step(machine, 1);
         at += part.size)
        n++;
    return value_integer(part.size ? n : (int64_t)text_length(text) + 1);
}

static struct value join(struct machine *machine, struct text separator, const struct call *call)
{
    struct text_builder out = {.machine = machine};
    const struct list *list = value_items(machine, call_argument(call, 0, "iterable", value_none()));
    for (size_t i = 0; i < list->n && bounded_step(machine, 1); i++) {
        if (list->items[i].kind != VALUE_TEXT)
            bounded_fail(machine, "join: item %zu is no text", i);
        if (i)
            builder_add(&out, separator);
        builder_add(&out, value_print(machine, list->items[i]));
    }
    return value_text(builder_text(&out));
}

static bool all_characters(struct text text, bool digits)
{
    for (size_t at = 0; at < text.size;) {
        uint32_t character = 0;
        int n = utf8_read(text.bytes + at, text.size - at, &character);
        if (digits ? unicode_category(character)[1] != 'd' || unicode_class(character) != UNICODE_NUMBER
                   : !unicode_is_space(character))
            return false;
        at += (size_t)(n ? n : 1);
    }
    return text.size > 0;
}

static struct value text_method(struct machine *machine, struct text text, const char *name,
                                const struct call *call)
{
    struct value none = value_none();
    if (strstr(name, "strip"))
        return value_text(
            text_strip(text, text_argument(machine, call, 0, "chars", none), *name != 'r', *name != 'l'));
    if (!strcmp(name, "split"))
        return split(machine, text, call);
    if (!strcmp(name, "rsplit"))
        return rsplit(machine, text, call);
    if (!strcmp(name, "splitlines"))
        return split_lines(machine, text);
    if (!strcmp(name, "upper"))
        return value_text(text_upper(machine, text));
    if (!strcmp(name, "lower"))
        return value_text(text_lower(machine, text));
    if (!strcmp(name, "title"))
        return value_text(text_title(machine, text));
    if (!strcmp(name, "capitalize"))
        return value_text(text_capitalize(machine, text));
    if (!strcmp(name, "replace"))
        return value_text(text_replace(machine, text, text_argument(machine, call, 0, "old", none),
                                       text_argument(machine, call, 1, "new", none),
                                       whole_argument(machine, call, 2, "count", -1)));
    if (!strcmp(name, "startswith") || !strcmp(name, "endswith"))
        return touches_any(machine, text, call, *name == 's');
    if (!strcmp(name, "removeprefix") || !strcmp(name, "removesuffix")) {
        struct text part = text_argument(machine, call, 0, "prefix", none);
        bool start = name[6] == 'p';
        if (touches(text, part, start))
            text = start ? text_part(text, part.size, text.size) : text_part(text, 0, text.size - part.size);
        return value_text(text);
    }
    if (!strcmp(name, "count"))
        return count(machine, text, call);
    if (!strcmp(name, "join"))
        return join(machine, text, call);
    if (!strcmp(name, "isdigit") || !strcmp(name, "isspace"))
        return value_boolean(all_characters(text, name[2] == 'd'));
    return find(machine, text, call, name);
}

static struct value dict_method(struct machine *machine, struct dict *dict, const char *name,
                                const struct call *call)
{
    struct value list = value_list(machine);
    if (!strcmp(name, "get")) {
        struct value *found = dict_find_value(dict, call_argument(call, 0, "key", value_none()));
        return found ? *found : call_argument(call, 1, "default", value_none());
    }
    if (!strcmp(name, "items"))
        return dict_items(machine, dict);
    for (size_t i = 0; i < dict->n; i++)
        list_add(machine, list.list, *name == 'k' ? dict->pairs[i].key : dict->pairs[i].value);
    return list;
}

static struct value list_method(struct machine *machine, const struct list *list, const char *name,
                                const struct call *call)
{
    struct value wanted = call_argument(call, 0, "value", value_none());
    int64_t n = 0;
    for (size_t i = 0; i < list->n && bounded_step(machine, 1); i++) {
        if (!value_equals(list->items[i], wanted))
            continue;
        if (*name == 'i')
            return value_integer((int64_t)i);
        n++;
    }
    if (*name == 'i')
        bounded_fail(machine, "index: the value is not in the list");
    return value_integer(n);
}

struct value method_call(struct machine *machine, struct value self, const char *name,
                         const struct call *call)
{
    switch (self.kind) {
    case VALUE_TEXT:
        return text_method(machine, self.text, name, call);
    case VALUE_DICT:
        return dict_method(machine, self.dict, name, call);
    case VALUE_LIST:
        return list_method(machine, self.list, name, call);
    default: /* loop.cycle */
        if (call->n == 0)
            bounded_fail(machine, "cycle: nothing to choose from");
        return call->n ? call->positional[self.loop->index0 % call->n] : value_none();
    }
}
