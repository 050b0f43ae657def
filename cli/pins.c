#include "cli/pins.h"

#include <string.h>

/* The tokens from `first` on that spell `text`; 0 when they do not. */
static size_t tokens_of_text(const struct canvas *canvas, size_t first, const char *text)
{
    size_t at = first, size = strlen(text), done = 0;
    while (at < canvas->n_cells && done < size) {
        const struct canvas_cell *cell = &canvas->cells[at++];
        if (cell->size_bytes > size - done || memcmp(cell->piece, text + done, cell->size_bytes) != 0)
            return 0;
        done += cell->size_bytes;
    }
    return done == size ? at - first : 0;
}

static void mark(struct canvas *canvas, size_t first, size_t n, bool is_pinned)
{
    for (size_t i = first; i < first + n && i < canvas->n_cells; i++)
        canvas->cells[i].is_pinned = is_pinned;
}

/* What gaps without a size share, and how many they are. */
static size_t open_positions(const struct canvas *canvas, const struct infill *infill, size_t n_pinned,
                             size_t *n_open)
{
    size_t taken = n_pinned;
    *n_open = 0;
    for (size_t i = 0; i < infill->n_parts; i++) {
        const struct infill_part *part = &infill->parts[i];
        taken += part->text ? 0 : part->gap;
        *n_open += !part->text && part->gap == 0;
    }
    return taken < canvas->n_cells ? canvas->n_cells - taken : 0;
}

bool pins_mark(struct canvas *canvas, const struct infill *infill, size_t n_pinned)
{
    size_t n_open, left = open_positions(canvas, infill, n_pinned, &n_open), nth = 0, at = 0, n_marked = 0;
    for (size_t i = 0; i < infill->n_parts; i++) {
        const struct infill_part *part = &infill->parts[i];
        size_t n = part->gap;
        if (part->text) {
            n = tokens_of_text(canvas, at, part->text);
            if (n == 0)
                break;
            mark(canvas, at, n, true);
            n_marked += n;
        } else if (n == 0) {
            n = left / n_open + (nth < left % n_open);
            nth++;
        }
        at += n;
    }
    if (at == canvas->n_cells && n_marked == n_pinned)
        return true;
    mark(canvas, 0, canvas->n_cells, false);
    return false;
}
