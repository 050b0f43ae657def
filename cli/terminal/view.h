#ifndef MILLRACE_CLI_TERMINAL_VIEW_H
#define MILLRACE_CLI_TERMINAL_VIEW_H

#include <stdbool.h>
#include <stdio.h>

#include "cli/terminal/canvas.h"
#include "cli/terminal/glyphs.h"

/*
 * The text being refined, in place, on a terminal:
 *
 *     Once upon a time there was a little girl who lived ...     <- wrapped to the width, coloured by
 *     the step that last changed a token, mask tokens as dots
 *     step 3/8 ███████████░░░░░░░░░░░░░░░░░░░  41 changed  850 tokens/s
 *
 * A drawing begins where the one before it began: it moves the cursor up over the rows that are there, so
 * nothing else may be written to the terminal between. A text that does not fit shows its last rows. All
 * output of one drawing goes to `out`, which the caller flushes at once, so that no half frame is seen.
 */
struct view {
    bool with_colour;
    int *widths; /* [n_rows]: columns of every row drawn, to know where they are after a change of size */
    size_t n_rows, row_capacity;
    struct glyph_text text;
    char *bytes; /* pieces joined */
    size_t byte_capacity;
};

struct view_size {
    int columns, rows;
};

/* What the progress line says besides the canvas's own counts. */
struct view_progress {
    double tokens_per_second;
};

void view_init(struct view *view, bool with_colour);
void view_release(struct view *view);

/* Draws a frame over the one before. RESOURCE_EXHAUSTED without memory. */
enum status view_draw(struct view *view, const struct canvas *canvas, struct view_progress progress,
                      struct view_size size, FILE *out);

/* Removes the drawing and shows the cursor again, so that the terminal is as before the first view_draw. */
void view_erase(struct view *view, struct view_size size, FILE *out);

/* Writes a text so that a terminal shows all of it and obeys none of it. The terminal wraps the lines. */
void view_print_plain(const char *text, size_t size_bytes, FILE *out);

#endif
