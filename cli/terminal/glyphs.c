#include "cli/terminal/glyphs.h"

#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "common/utf8.h"

enum { REPLACEMENT = 0xFFFD, CONTROL_PICTURES = 0x2400, DELETE_PICTURE = 0x2421, TAB_WIDTH = 4 };
enum { EMOJI_PRESENTATION = 0xFE0F }; /* asks for the wide picture of the character before it */

/* Marks and overrides of direction: they make a text read as another than it is. */
static bool reorders_text(uint32_t character)
{
    return character == 0x061C || character == 0x200E || character == 0x200F ||
           (character >= 0x202A && character <= 0x202E) || (character >= 0x2066 && character <= 0x2069);
}

/* Code points that stand for nothing that could be shown. */
static bool is_shown(uint32_t character)
{
    switch (utf8proc_category((utf8proc_int32_t)character)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return false;
    default:
        return true;
    }
}

/* The most columns that a terminal may give a code point: some give a mark that stands beside its letter
 * (a vowel of Devanagari) one of its own. */
static uint8_t width_of(uint32_t character)
{
    utf8proc_int32_t code = (utf8proc_int32_t)character;
    int width = utf8proc_charwidth(code);
    bool beside = utf8proc_category(code) == UTF8PROC_CATEGORY_MC ||
                  utf8proc_get_property(code)->boundclass == UTF8PROC_BOUNDCLASS_PREPEND;
    return (uint8_t)(width == 0 && beside ? 1 : width);
}

/* The character shown in place of one that must not reach the terminal. */
static uint32_t made_harmless(uint32_t character)
{
    if (character < 0x20)
        return CONTROL_PICTURES + character;
    if (character == 0x7F)
        return DELETE_PICTURE;
    return reorders_text(character) || !is_shown(character) ? REPLACEMENT : character;
}

size_t glyph_read(const char *text, size_t size_bytes, struct glyph *glyph)
{
    uint32_t character;
    int taken = utf8_read(text, size_bytes, &character);
    *glyph = (struct glyph){.is_break = taken && character == '\n'};
    if (glyph->is_break)
        return 1;
    uint32_t shown = taken ? made_harmless(character) : REPLACEMENT;
    glyph->size_bytes = (uint8_t)utf8_write(shown, glyph->bytes);
    glyph->width = width_of(shown);
    return taken ? (size_t)taken : 1;
}

void glyph_text_release(struct glyph_text *text)
{
    free(text->glyphs);
    free(text->lines);
    *text = (struct glyph_text){0};
}

void glyph_text_clear(struct glyph_text *text)
{
    text->n_glyphs = text->n_lines = 0;
    text->last = 0;
}

static enum status push_glyph(struct glyph_text *text, const struct glyph *glyph)
{
    if (text->n_glyphs == text->glyph_capacity) {
        size_t capacity = 2 * text->glyph_capacity + 1024;
        struct glyph *glyphs = realloc(text->glyphs, capacity * sizeof *glyphs);
        if (!glyphs)
            return STATUS_RESOURCE_EXHAUSTED;
        text->glyphs = glyphs;
        text->glyph_capacity = capacity;
    }
    text->glyphs[text->n_glyphs++] = *glyph;
    return STATUS_OK;
}

/* Whether `next`, one code point, goes on with the last cluster, which it then belongs to. */
static bool continues_cluster(struct glyph_text *text, const struct glyph *next)
{
    uint32_t character = 0;
    utf8_read(next->bytes, next->size_bytes, &character);
    uint32_t before = text->last;
    text->last = next->is_break ? 0 : character;
    if (before == 0 || next->is_break) {
        text->break_state = 0;
        return false;
    }
    if (utf8proc_grapheme_break_stateful((utf8proc_int32_t)before, (utf8proc_int32_t)character,
                                         &text->break_state))
        return false;
    struct glyph *cluster = &text->glyphs[text->n_glyphs - 1];
    if (cluster->size_bytes + next->size_bytes > GLYPH_BYTES_MAX)
        return false;
    memcpy(cluster->bytes + cluster->size_bytes, next->bytes, next->size_bytes);
    cluster->size_bytes = (uint8_t)(cluster->size_bytes + next->size_bytes);
    cluster->width = (uint8_t)(cluster->width + next->width);
    if (character == EMOJI_PRESENTATION && cluster->width == 1)
        cluster->width = 2;
    return true;
}

static enum status push_tab(struct glyph_text *text, uint16_t style)
{
    const struct glyph space = {.bytes = " ", .size_bytes = 1, .width = 1, .style = style};
    enum status status = STATUS_OK;
    for (int i = 0; status == STATUS_OK && i < TAB_WIDTH; i++)
        status = push_glyph(text, &space);
    text->last = 0;
    return status;
}

enum status glyph_text_append(struct glyph_text *text, const char *bytes, size_t size_bytes, uint16_t style)
{
    enum status status = STATUS_OK;
    for (size_t at = 0; status == STATUS_OK && at < size_bytes;) {
        struct glyph glyph;
        if (bytes[at] == '\t') {
            status = push_tab(text, style);
            at++;
            continue;
        }
        at += glyph_read(bytes + at, size_bytes - at, &glyph);
        glyph.style = style;
        if (!continues_cluster(text, &glyph))
            status = push_glyph(text, &glyph);
    }
    return status;
}

static enum status push_line(struct glyph_text *text, size_t first, size_t end)
{
    if (text->n_lines == text->line_capacity) {
        size_t capacity = 2 * text->line_capacity + 64;
        struct glyph_line *lines = realloc(text->lines, capacity * sizeof *lines);
        if (!lines)
            return STATUS_RESOURCE_EXHAUSTED;
        text->lines = lines;
        text->line_capacity = capacity;
    }
    int width = 0;
    for (size_t i = first; i < end; i++)
        width += text->glyphs[i].width;
    text->lines[text->n_lines++] = (struct glyph_line){first, end, width};
    return STATUS_OK;
}

static bool is_space(const struct glyph *glyph)
{
    return glyph->size_bytes == 1 && glyph->bytes[0] == ' ';
}

/* The end of the line that begins at `first`, and where the next one begins. */
static size_t find_line_end(const struct glyph_text *text, size_t first, int columns, size_t *next)
{
    const struct glyph *glyphs = text->glyphs;
    size_t last_space = SIZE_MAX;
    int width = 0;
    for (size_t i = first; i < text->n_glyphs; i++) {
        if (glyphs[i].is_break) {
            *next = i + 1;
            return i;
        }
        if (is_space(&glyphs[i]))
            last_space = i;
        if (width + glyphs[i].width > columns && last_space != SIZE_MAX && last_space > first) {
            *next = last_space + 1;
            return last_space;
        }
        if (width + glyphs[i].width > columns && i > first) {
            *next = i;
            return i;
        }
        width += glyphs[i].width;
    }
    return *next = text->n_glyphs;
}

enum status glyph_text_wrap(struct glyph_text *text, int columns)
{
    enum status status = STATUS_OK;
    size_t next = 0;
    text->n_lines = 0;
    for (size_t first = 0; status == STATUS_OK && first < text->n_glyphs; first = next) {
        size_t end = find_line_end(text, first, columns, &next);
        status = push_line(text, first, end);
    }
    bool open = text->n_glyphs == 0 || text->glyphs[text->n_glyphs - 1].is_break;
    if (status == STATUS_OK && open)
        status = push_line(text, text->n_glyphs, text->n_glyphs);
    return status;
}
