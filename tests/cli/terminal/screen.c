#include "tests/cli/terminal/screen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "common/utf8.h"

void screen_init(struct screen *screen, int columns, int rows)
{
    memset(screen, 0, sizeof *screen);
    screen->columns = columns;
    screen->rows = rows;
    screen->colour = -1;
}

static void clear_from(struct screen *screen, int row, int column)
{
    memset(&screen->cells[row][column], 0,
           (size_t)(SCREEN_COLUMNS_MAX - column) * sizeof(struct screen_cell));
}

static void line_feed(struct screen *screen)
{
    screen->wrap_pending = false;
    if (screen->row + 1 < screen->rows) {
        screen->row++;
        return;
    }
    memmove(screen->cells[0], screen->cells[1], (size_t)(screen->rows - 1) * sizeof screen->cells[0]);
    clear_from(screen, screen->rows - 1, 0);
    screen->n_scrolled++;
}

static void put_character(struct screen *screen, const char *bytes, int size, int width)
{
    if (width == 0) {
        struct screen_cell *before =
            &screen->cells[screen->row][screen->column - (screen->column > 0 && !screen->wrap_pending)];
        strncat(before->bytes, bytes, (size_t)size);
        return;
    }
    if (screen->wrap_pending || screen->column + width > screen->columns) {
        screen->column = 0;
        line_feed(screen);
    }
    struct screen_cell *cell = &screen->cells[screen->row][screen->column];
    *cell = (struct screen_cell){.colour = screen->colour, .bold = screen->bold};
    memcpy(cell->bytes, bytes, (size_t)size);
    for (int i = 1; i < width; i++)
        cell[i] = (struct screen_cell){.bytes = "\x01"}; /* the other half of a wide character */
    screen->column += width;
    if (screen->column >= screen->columns) {
        screen->column = screen->columns - 1;
        screen->wrap_pending = true;
    }
}

static void set_attributes(struct screen *screen, const char *parameters)
{
    if (!strcmp(parameters, "0"))
        screen->colour = -1, screen->bold = false;
    else if (!strcmp(parameters, "1"))
        screen->bold = true;
    else if (!strncmp(parameters, "38;5;", 5))
        screen->colour = atoi(parameters + 5);
    else if (strcmp(parameters, "2") != 0) /* dim: not looked at */
        screen->n_offences++;
}

/* ESC [ parameters letter; returns its size. */
static size_t obey(struct screen *screen, const char *bytes, size_t size_bytes)
{
    char parameters[32] = "";
    size_t n = 2;
    while (n < size_bytes && (unsigned char)bytes[n] < '@')
        n++;
    if (size_bytes < 3 || bytes[1] != '[' || n == size_bytes || n - 2 >= sizeof parameters) {
        screen->n_offences++;
        return 1;
    }
    memcpy(parameters, bytes + 2, n - 2);
    if (bytes[n] == 'A') {
        screen->row -= atoi(parameters) < screen->row ? atoi(parameters) : screen->row;
        screen->wrap_pending = false;
    } else if (bytes[n] == 'K' && !*parameters) {
        clear_from(screen, screen->row, screen->column);
    } else if (bytes[n] == 'J' && !*parameters) {
        clear_from(screen, screen->row, screen->column + screen->wrap_pending);
        for (int row = screen->row + 1; row < screen->rows; row++)
            clear_from(screen, row, 0);
    } else if (bytes[n] == 'm') {
        set_attributes(screen, parameters);
    } else if (!strcmp(parameters, "?25") && (bytes[n] == 'l' || bytes[n] == 'h')) {
        screen->cursor_hidden = bytes[n] == 'l';
    } else {
        screen->n_offences++;
    }
    return n + 1;
}

void screen_feed(struct screen *screen, const char *bytes, size_t size_bytes)
{
    for (size_t at = 0; at < size_bytes;) {
        uint32_t character = 0;
        int size = utf8_read(bytes + at, size_bytes - at, &character),
            width = size ? wcwidth((wchar_t)character) : -1;
        if (bytes[at] == '\033') {
            at += obey(screen, bytes + at, size_bytes - at);
            continue;
        }
        if (bytes[at] == '\r')
            screen->column = 0, screen->wrap_pending = false;
        else if (bytes[at] == '\n')
            line_feed(screen);
        else if (width < 0)
            screen->n_offences++;
        else
            put_character(screen, bytes + at, size, width);
        at += size ? (size_t)size : 1;
    }
}

const char *screen_row(const struct screen *screen, int row)
{
    static char text[SCREEN_COLUMNS_MAX * 16 + 1];
    size_t size = 0, end = 0;
    for (int column = 0; column < screen->columns; column++) {
        const char *bytes = screen->cells[row][column].bytes;
        if (*bytes == '\x01')
            continue;
        size += (size_t)sprintf(text + size, "%s", *bytes ? bytes : " ");
        if (*bytes)
            end = size;
    }
    text[end] = '\0';
    return text;
}
