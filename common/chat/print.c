/* Values as text: as Python prints them, and as JSON. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/chat/text_builder.h"
#include "common/utf8.h"

enum { DEPTH_MAX = 50 };

/* The shortest digits that read back the same, as Python's repr has them. */
static void add_float(struct text_builder *out, double number)
{
    char text[40];
    int precision = 1;
    if (isnan(number) || isinf(number)) {
        builder_add_string(out, isnan(number) ? "nan" : number > 0 ? "inf" : "-inf");
        return;
    }
    do {
        snprintf(text, sizeof text, "%.*g", precision, number);
    } while (strtod(text, NULL) != number && ++precision <= 17);
    double size = fabs(number);
    if (size != 0 && (size >= 1e16 || size < 1e-4)) { /* 1e+16, 1e-05 */
        builder_add_string(out, text);
        return;
    }
    if (strchr(text, 'e')) {
        snprintf(text, sizeof text, "%.0f", number);
    }
    builder_add_string(out, text);
    if (!strchr(text, '.'))
        builder_add_string(out, ".0");
}

static void add_integer(struct text_builder *out, int64_t integer)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, integer);
    builder_add_string(out, text);
}

/* One character of a quoted text. `json`: JSON's escapes, else Python's. */
static void add_escaped(struct text_builder *out, struct text character, char quote, bool json)
{
    char first = character.bytes[0], escape[8] = "";
    static const char named[] = "\n\t\r\b\f", letters[] = "ntrbf";
    const char *place = first ? strchr(named, first) : NULL;
    unsigned char users = character.users ? character.users[0] : 0;
    if (place && (json || place - named < 3))
        snprintf(escape, sizeof escape, "\\%c", letters[place - named]);
    else if (first == '\\' || first == quote)
        snprintf(escape, sizeof escape, "\\%c", first);
    else if ((unsigned char)first < 0x20 || (!json && first == 0x7F))
        snprintf(escape, sizeof escape, json ? "\\u%04x" : "\\x%02x", (unsigned char)first);
    if (*escape)
        builder_add_bytes(out, escape, strlen(escape), users);
    else
        builder_add(out, character);
}

static void add_quoted(struct text_builder *out, struct text text, bool json)
{
    bool single = memchr(text.bytes, '\'', text.size) != NULL,
         twice = memchr(text.bytes, '"', text.size) != NULL;
    char quote = json || (single && !twice) ? '"' : '\'';
    builder_add_bytes(out, &quote, 1, 0);
    for (size_t at = 0; at < text.size && bounded_step(out->machine, 1);) {
        size_t end = at + 1;
        while (end < text.size && ((unsigned char)text.bytes[end] & 0xC0) == 0x80)
            end++;
        add_escaped(out, text_part(text, at, end), quote, json);
        at = end;
    }
    builder_add_bytes(out, &quote, 1, 0);
}

struct style {
    bool json;
    int indent; /* < 0: on one line */
};

static void add_value(struct text_builder *out, struct value value, struct style style, int depth);

static void add_break(struct text_builder *out, struct style style, int depth, bool between)
{
    if (style.indent < 0) {
        builder_add_string(out, between ? ", " : "");
        return;
    }
    builder_add_string(out, between ? ",\n" : "\n");
    for (int i = 0; i < style.indent * depth && bounded_step(out->machine, 1); i++)
        builder_add_string(out, " ");
}

static void add_list(struct text_builder *out, struct value value, struct style style, int depth)
{
    bool tuple = value.is_tuple && !style.json;
    builder_add_string(out, tuple ? "(" : "[");
    for (size_t i = 0; i < value.list->n && bounded_step(out->machine, 1); i++) {
        if (i || style.indent >= 0)
            add_break(out, style, depth + 1, i > 0);
        add_value(out, value.list->items[i], style, depth + 1);
    }
    if (tuple && value.list->n == 1)
        builder_add_string(out, ",");
    if (value.list->n && style.indent >= 0)
        add_break(out, style, depth, false);
    builder_add_string(out, tuple ? ")" : "]");
}

static void add_dict(struct text_builder *out, const struct dict *dict, struct style style, int depth)
{
    builder_add_string(out, "{");
    for (size_t i = 0; i < dict->n && bounded_step(out->machine, 1); i++) {
        if (i || style.indent >= 0)
            add_break(out, style, depth + 1, i > 0);
        add_value(out, dict->pairs[i].key, style, depth + 1);
        builder_add_string(out, ": ");
        add_value(out, dict->pairs[i].value, style, depth + 1);
    }
    if (dict->n && style.indent >= 0)
        add_break(out, style, depth, false);
    builder_add_string(out, "}");
}

static void add_value(struct text_builder *out, struct value value, struct style style, int depth)
{
    if (depth > DEPTH_MAX) {
        bounded_fail(out->machine, "a value is nested more than %d deep", DEPTH_MAX);
        return;
    }
    switch (value.kind) {
    case VALUE_NONE:
        builder_add_string(out, style.json ? "null" : "None");
        break;
    case VALUE_BOOLEAN:
        builder_add_string(out, style.json      ? (value.boolean ? "true" : "false")
                                : value.boolean ? "True"
                                                : "False");
        break;
    case VALUE_INTEGER:
        add_integer(out, value.integer);
        break;
    case VALUE_FLOAT:
        add_float(out, value.number);
        break;
    case VALUE_TEXT:
        add_quoted(out, value.text, style.json);
        break;
    case VALUE_LIST:
        add_list(out, value, style, depth);
        break;
    case VALUE_DICT:
        add_dict(out, value.dict, style, depth);
        break;
    case VALUE_UNDEFINED:
        if (!style.json) {
            builder_add_string(out, "Undefined");
            break;
        } /* fall through */
    default:
        bounded_fail(out->machine, "%s cannot be printed", value_kind_name(value));
    }
}

struct text value_print(struct machine *machine, struct value value)
{
    struct text_builder out = {.machine = machine};
    if (value.kind == VALUE_TEXT)
        return value.text;
    if (value.kind == VALUE_UNDEFINED)
        return text_of("");
    add_value(&out, value, (struct style){false, -1}, 0);
    return builder_text(&out);
}

struct text value_json(struct machine *machine, struct value value, int indent)
{
    struct text_builder out = {.machine = machine};
    add_value(&out, value, (struct style){true, indent}, 0);
    return builder_text(&out);
}
