#ifndef MILLRACE_CLI_TERMINAL_GLYPHS_H
#define MILLRACE_CLI_TERMINAL_GLYPHS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

/*
 * Text as a terminal may be given it: what a reader takes for one character (a grapheme cluster, Unicode's
 * UAX 29: a letter with its accents, a family of emoji) stays together, and nothing is left that the terminal
 * would take for a command. Control characters are shown as their pictures (U+2400...), bytes that are no
 * UTF-8 and what would reorder or hide text as U+FFFD, a tab as four spaces. utf8proc knows clusters and
 * widths, so they do not depend on the locale.
 *
 * The width of a cluster is the most columns that a terminal may give it. Older terminals add up the widths
 * of its code points, newer ones give a cluster two columns at most; a line that turns out shorter than was
 * counted does no harm, one that turns out longer breaks the drawing.
 */
enum { GLYPH_BYTES_MAX = 32 }; /* a longer cluster is cut between two of its code points */
struct glyph {
    char bytes[GLYPH_BYTES_MAX];
    uint8_t size_bytes;
    uint8_t width;  /* columns; 0: it stands on what is before it */
    bool is_break;  /* a line feed: no bytes, ends the line */
    uint16_t style; /* the caller's */
};

/* The code point with which text[size_bytes > 0] begins; returns the bytes that it takes of the text (1 to
 * 4).
 */
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
    uint32_t last;       /* the code point that was appended last; 0: the next one begins a cluster */
    int32_t break_state; /* utf8proc's, since the cluster began */
};
void glyph_text_release(struct glyph_text *text);
void glyph_text_clear(struct glyph_text *text);

/* Appends bytes in one style; text that ends inside a code point waits for nothing: join the pieces first. A
 * cluster that began in an earlier call goes on in its style. RESOURCE_EXHAUSTED without memory. */
enum status glyph_text_append(struct glyph_text *text, const char *bytes, size_t size_bytes, uint16_t style);

/* Wraps to `columns` (2 or more): at line feeds, else after the last space that fits, else in the middle of a
 * word, never inside a cluster. The spaces at which a line is wrapped are left out. There is always at least
 * one line. A cluster that is wider than `columns` has a line of its own. */
enum status glyph_text_wrap(struct glyph_text *text, int columns);

#endif
