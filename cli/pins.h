#ifndef MILLRACE_CLI_PINS_H
#define MILLRACE_CLI_PINS_H

#include <stdbool.h>

#include "cli/canvas.h"
#include "cli/infill.h"

/*
 * Finds which positions of the starting state are the caller's own text, for showing them as such. Frames do
 * not say it, but it follows: the parts lie one after the other, a text takes the tokens that spell it, gaps
 * have their size, and gaps without one share what is left, the first ones a token more where it does not
 * divide. `n_pinned` is the server's count. False, and nothing is marked, when that does not fit what is
 * there.
 */
bool pins_mark(struct canvas *canvas, const struct infill *infill, size_t n_pinned);

#endif
