#include "cli/terminal/view.h"

#include <stdlib.h>
#include <string.h>

/* Styles of glyphs: plain, a mask token's dot, then one for each step from the starting state on. */
enum { STYLE_PLAIN, STYLE_PINNED, STYLE_MASK, STYLE_STEP };

/* Colours of the 256-colour palette, from the first step to the last: violet, blue, green, sand. */
static const int step_ramp[] = {97, 98, 62, 68, 74, 73, 79, 78, 114, 150, 186, 223};
enum { RAMP_LENGTH = sizeof step_ramp / sizeof *step_ramp, START_COLOUR = 240, MASK_COLOUR = 238 };

static const char mask_dot[] = "\xC2\xB7"; /* middle dot */

void view_init(struct view *view, bool with_colour)
{
    *view = (struct view){.with_colour = with_colour};
}

void view_release(struct view *view)
{
    free(view->widths);
    free(view->bytes);
    glyph_text_release(&view->text);
    *view = (struct view){0};
}

static int colour_of_step(uint32_t step, uint32_t steps)
{
    if (step == 0)
        return START_COLOUR;
    uint32_t last = steps > 1 ? steps - 1 : 1, index = steps > 1 ? step - 1 : 1;
    return step_ramp[(uint64_t)(index < last ? index : last) * (RAMP_LENGTH - 1) / last];
}

static void print_style(const struct view *view, unsigned style, uint32_t steps, FILE *out)
{
    if (!view->with_colour)
        return;
    fputs("\033[0m", out);
    if (style == STYLE_PINNED)
        fputs("\033[1m", out);
    else if (style == STYLE_MASK)
        fprintf(out, "\033[38;5;%dm", MASK_COLOUR);
    else if (style >= STYLE_STEP)
        fprintf(out, "\033[38;5;%dm", colour_of_step(style - STYLE_STEP, steps));
}

static uint16_t style_of(const struct canvas_cell *cell)
{
    if (cell->is_pinned)
        return STYLE_PINNED;
    if (cell->size_bytes == 0)
        return STYLE_MASK;
    return (uint16_t)(STYLE_STEP + (cell->step < 4096 ? cell->step : 4096));
}

/* ---- the text as glyphs ---- */

static enum status reserve_bytes(struct view *view, size_t size)
{
    if (size <= view->byte_capacity)
        return STATUS_OK;
    char *bytes = realloc(view->bytes, size);
    if (!bytes)
        return STATUS_RESOURCE_EXHAUSTED;
    view->bytes = bytes;
    view->byte_capacity = size;
    return STATUS_OK;
}

/* The rest of the character that the bytes so far end with, when the pieces behind continue it. */
static bool continues_character(const struct canvas_cell *cell)
{
    return cell->size_bytes > 0 && ((unsigned char)cell->piece[0] & 0xC0) == 0x80;
}

/* Joins the pieces from cell `first` on that must be read together, because characters go across their
 * borders. */
static enum status join_run(struct view *view, const struct canvas *canvas, size_t first, size_t *end,
                            size_t *size)
{
    size_t total = canvas->cells[first].size_bytes, last = first + 1;
    while (last < canvas->n_cells && continues_character(&canvas->cells[last]))
        total += canvas->cells[last++].size_bytes;
    enum status status = reserve_bytes(view, total + 1);
    if (status != STATUS_OK)
        return status;
    size_t at = 0;
    for (size_t i = first; i < last; i++) {
        memcpy(view->bytes + at, canvas->cells[i].piece, canvas->cells[i].size_bytes);
        at += canvas->cells[i].size_bytes;
    }
    *end = last;
    *size = total;
    return STATUS_OK;
}

static enum status build_text(struct view *view, const struct canvas *canvas)
{
    enum status status = STATUS_OK;
    size_t end;
    glyph_text_clear(&view->text);
    for (size_t i = 0; status == STATUS_OK && i < canvas->n_cells; i = end) {
        const struct canvas_cell *cell = &canvas->cells[i];
        size_t size = 0;
        end = i + 1;
        if (!cell->piece || cell->size_bytes == 0) {
            status = glyph_text_append(&view->text, mask_dot, strlen(mask_dot), STYLE_MASK);
            continue;
        }
        status = join_run(view, canvas, i, &end, &size);
        if (status == STATUS_OK)
            status = glyph_text_append(&view->text, view->bytes, size, style_of(cell));
    }
    return status;
}

/* ---- rows ---- */

/* Remembers the width of a row that is about to be drawn. */
static enum status push_row(struct view *view, int width)
{
    if (view->n_rows == view->row_capacity) {
        size_t capacity = 2 * view->row_capacity + 64;
        int *widths = realloc(view->widths, capacity * sizeof *widths);
        if (!widths)
            return STATUS_RESOURCE_EXHAUSTED;
        view->widths = widths;
        view->row_capacity = capacity;
    }
    view->widths[view->n_rows++] = width;
    return STATUS_OK;
}

/* Moves the cursor to where the drawing began. Rows that are now wider than the terminal take several. */
static void move_to_top(struct view *view, struct view_size size, FILE *out)
{
    int rows = 0;
    for (size_t i = 0; i < view->n_rows; i++)
        rows += view->widths[i] > size.columns ? (view->widths[i] + size.columns - 1) / size.columns : 1;
    fputc('\r', out);
    if (rows > 1)
        fprintf(out, "\033[%dA", rows - 1 < size.rows ? rows - 1 : size.rows);
    view->n_rows = 0;
}

static enum status draw_line(struct view *view, const struct glyph_line *line, uint32_t steps, FILE *out)
{
    unsigned style = STYLE_PLAIN;
    fputs("\033[K", out); /* before the text: behind a full row it would take the last character */
    for (size_t i = line->first; i < line->end; i++) {
        const struct glyph *glyph = &view->text.glyphs[i];
        if (glyph->style != style)
            print_style(view, style = glyph->style, steps, out);
        fwrite(glyph->bytes, 1, glyph->size_bytes, out);
    }
    if (style != STYLE_PLAIN)
        print_style(view, STYLE_PLAIN, steps, out);
    fputs("\r\n", out);
    return push_row(view, line->width);
}

static enum status draw_hidden_count(struct view *view, size_t n_hidden, FILE *out)
{
    char text[64];
    int width = snprintf(text, sizeof text, "... %zu lines above", n_hidden);
    fprintf(out, "\033[K%s%s%s\r\n", view->with_colour ? "\033[2m" : "", text,
            view->with_colour ? "\033[0m" : "");
    return push_row(view, width);
}

static enum status draw_lines(struct view *view, const struct canvas *canvas, struct view_size size,
                              FILE *out)
{
    size_t room = size.rows > 4 ? (size_t)size.rows - 2 : 2,
           first = 0; /* a row for progress, one to breathe */
    enum status status = STATUS_OK;
    if (view->text.n_lines > room) {
        first = view->text.n_lines - room + 1;
        status = draw_hidden_count(view, first, out);
    }
    for (size_t i = first; status == STATUS_OK && i < view->text.n_lines; i++)
        status = draw_line(view, &view->text.lines[i], canvas->steps, out);
    return status;
}

static int bar_width(int columns)
{
    int width = columns - 48;
    return width > 30 ? 30 : width < 0 ? 0 : width;
}

/* "step 3/8 ████░░░░  41 changed  850 tokens/s", as much of it as there are columns */
static enum status draw_progress(struct view *view, const struct canvas *canvas,
                                 struct view_progress progress, int columns, FILE *out)
{
    char bar[3 * 30 + 1] = "", text[256];
    int width = bar_width(columns), steps = canvas->steps ? (int)canvas->steps : 1;
    int full = (int)((uint64_t)canvas->step * (uint64_t)width / (uint64_t)steps);
    for (int i = 0; i < width; i++)
        strcat(bar, i < full ? "\xE2\x96\x88" : "\xE2\x96\x91"); /* full block, light shade */
    char rate[48] = "";
    if (progress.tokens_per_second > 0)
        snprintf(rate, sizeof rate, "  %.0f tokens/s", progress.tokens_per_second);
    snprintf(text, sizeof text, "step %u/%u%s%s  %zu changed%s", canvas->step, canvas->steps,
             width ? " " : "", bar, canvas->n_changed, rate);
    struct glyph_text glyphs = {0};
    enum status status = glyph_text_append(&glyphs, text, strlen(text), STYLE_PLAIN);
    int drawn = 0;
    fprintf(out, "\033[K%s", view->with_colour ? "\033[2m" : "");
    for (size_t i = 0; i < glyphs.n_glyphs && drawn + glyphs.glyphs[i].width < columns; i++) {
        fwrite(glyphs.glyphs[i].bytes, 1, glyphs.glyphs[i].size_bytes, out);
        drawn += glyphs.glyphs[i].width;
    }
    fprintf(out, "%s", view->with_colour ? "\033[0m" : "");
    glyph_text_release(&glyphs);
    return status == STATUS_OK ? push_row(view, drawn) : status;
}

static struct view_size sane_size(struct view_size size)
{
    return (struct view_size){size.columns < 2 ? 80 : size.columns, size.rows < 3 ? 24 : size.rows};
}

enum status view_draw(struct view *view, const struct canvas *canvas, struct view_progress progress,
                      struct view_size size, FILE *out)
{
    size = sane_size(size);
    enum status status = build_text(view, canvas);
    if (status == STATUS_OK)
        status = glyph_text_wrap(&view->text, size.columns);
    if (status != STATUS_OK)
        return status;
    fputs("\033[?25l", out); /* no cursor while the rows move */
    move_to_top(view, size, out);
    status = draw_lines(view, canvas, size, out);
    if (status == STATUS_OK)
        status = draw_progress(view, canvas, progress, size.columns, out);
    fputs("\033[J", out); /* what an earlier, longer drawing has left */
    return status;
}

void view_erase(struct view *view, struct view_size size, FILE *out)
{
    move_to_top(view, sane_size(size), out);
    fputs("\033[J\033[?25h", out);
}

void view_print_plain(const char *text, size_t size_bytes, FILE *out)
{
    for (size_t at = 0; at < size_bytes;) {
        struct glyph glyph;
        if (text[at] == '\t') {
            fputc(text[at++], out);
            continue;
        }
        at += glyph_read(text + at, size_bytes - at, &glyph);
        if (glyph.is_break)
            fputc('\n', out);
        else
            fwrite(glyph.bytes, 1, glyph.size_bytes, out);
    }
}
