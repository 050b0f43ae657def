#include "coordinator/monitoring/exposition.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/request/render_text.h"

void exposition_free(struct exposition *page)
{
    free(page->text);
    *page = (struct exposition){0};
}

static bool make_room(struct exposition *page, size_t more)
{
    size_t wanted = page->size + more + 1, capacity = page->capacity ? page->capacity : 4096;
    if (page->incomplete)
        return false;
    while (capacity < wanted)
        capacity *= 2;
    if (capacity == page->capacity)
        return true;
    char *grown = realloc(page->text, capacity);
    page->incomplete = !grown;
    if (grown) {
        page->text = grown;
        page->capacity = capacity;
    }
    return grown;
}

static void put(struct exposition *page, const char *bytes, size_t size)
{
    if (!make_room(page, size))
        return;
    memcpy(page->text + page->size, bytes, size);
    page->size += size;
    page->text[page->size] = '\0';
}

void exposition_text(struct exposition *page, const char *text)
{
    put(page, text, strlen(text));
}

/* Writes a backslash before every backslash and, in a label, before every quote. A line break becomes \n. */
static void put_escaped(struct exposition *page, const char *text, bool in_quotes)
{
    for (; *text; text++) {
        if (*text == '\\')
            put(page, "\\\\", 2);
        else if (*text == '\n')
            put(page, "\\n", 2);
        else if (*text == '"' && in_quotes)
            put(page, "\\\"", 2);
        else
            put(page, text, 1);
    }
}

/* Writes a short decimal that reads back as the same number. */
static void put_number(struct exposition *page, double value)
{
    char digits[40];
    if (isnan(value) || isinf(value)) {
        exposition_text(page, isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf");
        return;
    }
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (strtod(digits, NULL) == value)
            break;
    }
    exposition_text(page, digits);
}

void exposition_family(struct exposition *page, const char *name, const char *type, const char *help)
{
    exposition_text(page, "# HELP ");
    exposition_text(page, name);
    put(page, " ", 1);
    put_escaped(page, help, false);
    exposition_text(page, "\n# TYPE ");
    exposition_text(page, name);
    put(page, " ", 1);
    exposition_text(page, type);
    put(page, "\n", 1);
}

static void put_label(struct exposition *page, const char *label, const char *value, bool first)
{
    char *repaired = text_repair(value, strlen(value));
    page->incomplete |= !repaired;
    put(page, first ? "{" : ",", 1);
    exposition_text(page, label);
    exposition_text(page, "=\"");
    put_escaped(page, repaired ? repaired : "", true);
    put(page, "\"", 1);
    free(repaired);
}

void exposition_sample(struct exposition *page, const char *name, double value, ...)
{
    const char *label;
    bool first = true;
    va_list labels;
    exposition_text(page, name);
    va_start(labels, value);
    while ((label = va_arg(labels, const char *))) {
        put_label(page, label, va_arg(labels, const char *), first);
        first = false;
    }
    va_end(labels);
    exposition_text(page, first ? " " : "} ");
    put_number(page, value);
    put(page, "\n", 1);
}
