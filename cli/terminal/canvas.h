#ifndef MILLRACE_CLI_TERMINAL_CANVAS_H
#define MILLRACE_CLI_TERMINAL_CANVAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

/* The text as the frames so far have made it, position by position. */
struct canvas_cell {
    char *piece;       /* [size_bytes], may be part of a character */
    size_t size_bytes; /* 0: a mask token */
    uint32_t id;
    uint32_t step; /* the step that last changed it; 0: the starting state */
    bool is_pinned;
};
struct canvas {
    struct canvas_cell *cells; /* [n_cells] */
    size_t n_cells;
    uint32_t step, steps;
    size_t n_changed; /* by the last frame */
};

/* The first `n_pinned` positions are the caller's own. Release the canvas even where init has failed. */
enum status canvas_init(struct canvas *canvas, size_t n_cells, size_t n_pinned, uint32_t steps,
                        struct error *error);
void canvas_release(struct canvas *canvas);

/* A new frame begins: step 0 is the starting state. */
void canvas_begin_step(struct canvas *canvas, uint32_t step);

/* DATA_LOSS: there is no such position, so the server has sent something that cannot be right. */
enum status canvas_set(struct canvas *canvas, size_t position, uint32_t id, const void *piece,
                       size_t size_bytes, struct error *error);

#endif
