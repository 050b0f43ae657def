#include "cli/terminal/canvas.h"

#include <stdlib.h>
#include <string.h>

enum status canvas_init(struct canvas *canvas, size_t n_cells, size_t n_pinned, uint32_t steps,
                        struct error *error)
{
    *canvas = (struct canvas){.steps = steps};
    canvas->cells = calloc(n_cells + 1, sizeof *canvas->cells);
    if (!canvas->cells)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for %zu positions", n_cells);
    canvas->n_cells = n_cells;
    for (size_t i = 0; i < n_pinned && i < n_cells; i++)
        canvas->cells[i].is_pinned = true;
    return STATUS_OK;
}

void canvas_release(struct canvas *canvas)
{
    for (size_t i = 0; i < canvas->n_cells; i++)
        free(canvas->cells[i].piece);
    free(canvas->cells);
    *canvas = (struct canvas){0};
}

void canvas_begin_step(struct canvas *canvas, uint32_t step)
{
    canvas->step = step;
    canvas->n_changed = 0;
}

enum status canvas_set(struct canvas *canvas, size_t position, uint32_t id, const void *piece,
                       size_t size_bytes, struct error *error)
{
    if (position >= canvas->n_cells)
        return error_set(error, STATUS_DATA_LOSS, "a frame names position %zu of a text of %zu", position,
                         canvas->n_cells);
    struct canvas_cell *cell = &canvas->cells[position];
    char *copy = realloc(cell->piece, size_bytes + 1);
    if (!copy)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for a token of %zu bytes", size_bytes);
    if (size_bytes)
        memcpy(copy, piece, size_bytes);
    cell->piece = copy;
    cell->size_bytes = size_bytes;
    cell->id = id;
    cell->step = canvas->step;
    canvas->n_changed++;
    return STATUS_OK;
}
