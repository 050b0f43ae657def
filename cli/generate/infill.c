#include "cli/generate/infill.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool begins_with_gap_mark(const char *text)
{
    return strspn(text, "_") == 3;
}

/* Takes the gap mark that `text` begins with. *size 0: it has none of its own. Returns what follows. */
static const char *read_gap(const char *text, uint32_t *size, bool *fits)
{
    const char *digits = text + 3;
    size_t n_digits = strspn(digits, "0123456789");
    *size = 0;
    *fits = true;
    if (n_digits == 0 || !begins_with_gap_mark(digits + n_digits))
        return digits;
    unsigned long value = n_digits < 9 ? strtoul(digits, NULL, 10) : GAP_TOKENS_MAX + 1;
    *fits = value >= 1 && value <= GAP_TOKENS_MAX;
    *size = (uint32_t)value;
    return digits + n_digits + 3;
}

/* The end of the text before the next gap mark. */
static const char *find_gap(const char *text)
{
    while (*text && !begins_with_gap_mark(text)) {
        size_t run = strspn(text, "_");
        text += run ? run : strcspn(text, "_");
    }
    return text;
}

static enum status refuse_memory(struct error *error)
{
    return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a text with gaps");
}

static enum status push_part(struct infill *infill, struct infill_part part, struct error *error)
{
    struct infill_part *parts = realloc(infill->parts, (infill->n_parts + 1) * sizeof *parts);
    if (!parts)
        return refuse_memory(error);
    infill->parts = parts;
    infill->parts[infill->n_parts++] = part;
    infill->n_gaps += part.text == NULL;
    return STATUS_OK;
}

static enum status push_text(struct infill *infill, const char *text, size_t size, struct error *error)
{
    char *copy = strndup(text, size);
    if (!copy)
        return refuse_memory(error);
    enum status status = push_part(infill, (struct infill_part){.text = copy}, error);
    if (status != STATUS_OK)
        free(copy);
    return status;
}

static enum status parse(const char *text, uint32_t default_gap, struct infill *infill, struct error *error)
{
    enum status status = STATUS_OK;
    while (status == STATUS_OK && *text) {
        const char *gap = find_gap(text), *after = gap;
        uint32_t size = 0;
        bool fits = true;
        if (gap > text)
            status = push_text(infill, text, (size_t)(gap - text), error);
        if (*gap)
            after = read_gap(gap, &size, &fits);
        if (!fits)
            return error_set(error, STATUS_INVALID_ARGUMENT, "the gap %.*s must have 1 to %d tokens",
                             (int)(after - gap < 40 ? after - gap : 40), gap, GAP_TOKENS_MAX);
        if (status == STATUS_OK && *gap)
            status = push_part(infill, (struct infill_part){NULL, size ? size : default_gap}, error);
        text = after;
    }
    return status;
}

enum status infill_parse(const char *text, uint32_t default_gap, struct infill *infill, struct error *error)
{
    *infill = (struct infill){0};
    enum status status = parse(text, default_gap, infill, error);
    if (status == STATUS_OK && infill->n_gaps == 0)
        status = error_set(error, STATUS_INVALID_ARGUMENT,
                           "the text has no gap: write ___ (three underscores) where words are wanted");
    if (status != STATUS_OK)
        infill_release(infill);
    return status;
}

void infill_release(struct infill *infill)
{
    for (size_t i = 0; i < infill->n_parts; i++)
        free(infill->parts[i].text);
    free(infill->parts);
    *infill = (struct infill){0};
}
