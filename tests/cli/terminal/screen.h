#ifndef MILLRACE_TESTS_CLI_TERMINAL_SCREEN_H
#define MILLRACE_TESTS_CLI_TERMINAL_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

/*
 * A terminal just large enough to judge the view: what it would show after the bytes. It knows \r, \n,
 * ESC[nA, ESC[K, ESC[J, ESC[...m and ESC[?25l/h, wraps with a pending last column as real ones do, and
 * scrolls. Anything else that begins with ESC, and any other control character, is counted as an offence.
 */
enum { SCREEN_COLUMNS_MAX = 120, SCREEN_ROWS_MAX = 40 };

struct screen_cell {
    char bytes[16]; /* a character and what combines with it; empty: never written */
    int colour;     /* of the 256; -1: the default */
    bool bold;
};
struct screen {
    int columns, rows, row, column;
    bool wrap_pending, cursor_hidden, bold;
    int colour;
    int n_offences, n_scrolled;
    struct screen_cell cells[SCREEN_ROWS_MAX][SCREEN_COLUMNS_MAX];
};

void screen_init(struct screen *screen, int columns, int rows);
void screen_feed(struct screen *screen, const char *bytes, size_t size_bytes);

/* A row as text, without what trails; valid until the next call. */
const char *screen_row(const struct screen *screen, int row);

#endif
