#ifndef MILLRACE_CLI_TERMINAL_GLYPHS_H
#define MILLRACE_CLI_TERMINAL_GLYPHS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

/*
 * Text as a terminal may be given it: whole characters of known width, and nothing that the terminal would
 * take for a command. Control characters are shown as their pictures (U+2400...), bytes that are no UTF-8 and
 * what would reorder or hide text as U+FFFD, a tab as four spaces. The width is wcwidth's, so the process
 * needs a UTF-8 LC_CTYPE.
 */
struct glyph {
    char bytes[4];
    uint8_t size_bytes;
    uint8_t width;  /* columns: 0 (combining), 1 or 2 */
    bool is_break;  /* a line feed: no bytes, ends the line */
    uint16_t style; /* the caller's */
};

/* What text[size_bytes > 0] begins with; returns the bytes that it takes of the text (1 to 4). */
size_t glyph_read(const char *text, size_t size_bytes, struct glyph *glyph);

struct glyph_line {
    size_t first, end; /* glyphs [first, end) */
    int width;         /* columns */
};

/* Glyphs and the lines they are wrapped to. Starts as zeros, used again from frame to frame. */
struct glyph_text {
    struct glyph *glyphs;
    size_t n_glyphs, glyph_capacity;
    struct glyph_line *lines;
    size_t n_lines, line_capacity;
};
void glyph_text_release(struct glyph_text *text);
void glyph_text_clear(struct glyph_text *text);

/* Appends bytes in one style; text that ends inside a character waits for nothing: join the pieces first.
 * RESOURCE_EXHAUSTED without memory. */
enum status glyph_text_append(struct glyph_text *text, const char *bytes, size_t size_bytes, uint16_t style);

/* Wraps to `columns` (2 or more): at line feeds, else after the last space that fits, else in the middle of a
 * word. The spaces at which a line is wrapped are left out. There is always at least one line. */
enum status glyph_text_wrap(struct glyph_text *text, int columns);

#endif
