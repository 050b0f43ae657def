#include "cli/eval/plot.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "cli/eval/axis.h"

enum { WIDTH = 760, HEIGHT = 460, LEFT = 80, RIGHT = 680, TOP = 90, BOTTOM = 390, BAR = 4 };

static const char ink[] = "#222222", pale[] = "#dddddd", blue[] = "#1f5fa8", orange[] = "#c8641e",
                  green[] = "#4a8a3a";

/* One line of the plot: it shows one value of some rows. */
struct series {
    const char *model; /* the rows of this model; NULL: all */
    const struct metrics *rows;
    size_t n;
    struct estimate (*value)(const struct metrics *row);
    const char *colour, *dashes, *label;
    const struct axis *axis;
};

struct canvas {
    FILE *out;
    double least_steps, most_steps;
};

static struct estimate perplexity_of(const struct metrics *row)
{
    return row->perplexity;
}

static struct estimate seconds_of(const struct metrics *row)
{
    return row->seconds;
}

static bool is_shown(const struct series *series, const struct metrics *row)
{
    double value = series->value(row).mean;
    return row->steps > 0 && isfinite(value) && value > 0 &&
           (!series->model || !strcmp(series->model, row->model));
}

static double x_of(const struct canvas *canvas, double steps)
{
    double span = log2(canvas->most_steps / canvas->least_steps);
    double place = span > 0 ? log2(steps / canvas->least_steps) / span : 0.5;
    return LEFT + 20 + place * (RIGHT - LEFT - 40);
}

static double y_of(const struct axis *axis, double value)
{
    return BOTTOM - axis_place(axis, value) * (BOTTOM - TOP);
}

static void put_escaped(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '<')
            fputs("&lt;", out);
        else if (*text == '&')
            fputs("&amp;", out);
        else if ((unsigned char)*text >= ' ')
            fputc(*text, out);
    }
}

static void put_text(FILE *out, double x, double y, const char *anchor, const char *colour, const char *text)
{
    fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" fill=\"%s\">", x, y, anchor, colour);
    put_escaped(out, text);
    fputs("</text>\n", out);
}

static void put_line(FILE *out, double x1, double y1, double x2, double y2, const char *colour)
{
    fprintf(out, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\"/>\n", x1, y1, x2, y2,
            colour);
}

static void put_axis(const struct canvas *canvas, const struct axis *axis, bool at_left, const char *colour)
{
    double x = at_left ? LEFT : RIGHT;
    for (size_t i = 0; i < axis->n_marks; i++) {
        char number[32];
        double y = y_of(axis, axis->marks[i]);
        snprintf(number, sizeof number, "%g", axis->marks[i]);
        if (at_left)
            put_line(canvas->out, LEFT, y, RIGHT, y, pale);
        put_text(canvas->out, x + (at_left ? -8 : 8), y + 4, at_left ? "end" : "start", colour, number);
    }
}

/* Writes a title along an axis, turned by a quarter. */
static void put_axis_title(const struct canvas *canvas, double x, const char *colour, const char *text)
{
    double y = (TOP + BOTTOM) / 2.0;
    fprintf(canvas->out,
            "<text transform=\"translate(%.1f %.1f) rotate(-90)\" text-anchor=\"middle\" fill=\"%s\">", x, y,
            colour);
    put_escaped(canvas->out, text);
    fputs("</text>\n", canvas->out);
}

static bool has_steps(const struct metrics *rows, size_t n, uint32_t steps)
{
    for (size_t i = 0; i < n; i++) {
        if (rows[i].steps == steps)
            return true;
    }
    return false;
}

/* Marks the numbers of steps of `rows` under the axis. It skips a number that an earlier row or a row of
 * `marked` has. */
static void put_steps(const struct canvas *canvas, const struct metrics *rows, size_t n,
                      const struct metrics *marked, size_t n_marked)
{
    for (size_t i = 0; i < n; i++) {
        char number[16];
        uint32_t steps = rows[i].steps;
        if (steps == 0 || has_steps(rows, i, steps) || has_steps(marked, n_marked, steps))
            continue;
        double x = x_of(canvas, steps);
        snprintf(number, sizeof number, "%u", steps);
        put_line(canvas->out, x, BOTTOM, x, BOTTOM + 5, ink);
        put_text(canvas->out, x, BOTTOM + 20, "middle", ink, number);
    }
}

static void put_error_bar(const struct canvas *canvas, const struct series *series, double x,
                          struct estimate value)
{
    if (!isfinite(value.error))
        return;
    double low = y_of(series->axis, value.mean - value.error),
           high = y_of(series->axis, value.mean + value.error);
    put_line(canvas->out, x, low, x, high, series->colour);
    put_line(canvas->out, x - BAR, low, x + BAR, low, series->colour);
    put_line(canvas->out, x - BAR, high, x + BAR, high, series->colour);
}

static void put_series(const struct canvas *canvas, const struct series *series)
{
    fprintf(canvas->out,
            "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\" stroke-dasharray=\"%s\" points=\"",
            series->colour, series->dashes);
    for (size_t i = 0; i < series->n; i++) {
        if (is_shown(series, &series->rows[i]))
            fprintf(canvas->out, "%.1f,%.1f ", x_of(canvas, series->rows[i].steps),
                    y_of(series->axis, series->value(&series->rows[i]).mean));
    }
    fputs("\"/>\n", canvas->out);
    for (size_t i = 0; i < series->n; i++) {
        if (!is_shown(series, &series->rows[i]))
            continue;
        struct estimate value = series->value(&series->rows[i]);
        double x = x_of(canvas, series->rows[i].steps);
        put_error_bar(canvas, series, x, value);
        fprintf(canvas->out,
                "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"%s\"><title>%u steps: %.4g ±%.2g</title>"
                "</circle>\n",
                x, y_of(series->axis, value.mean), series->colour, series->rows[i].steps, value.mean,
                value.error);
    }
}

/* Writes one legend and returns where the next one begins. Letters are about 7 wide. */
static double put_legend(const struct canvas *canvas, const struct series *series, double x)
{
    fprintf(canvas->out,
            "<line x1=\"%.1f\" y1=\"70\" x2=\"%.1f\" y2=\"70\" stroke=\"%s\" stroke-width=\"2\" "
            "stroke-dasharray=\"%s\"/>\n",
            x, x + 24, series->colour, series->dashes);
    put_text(canvas->out, x + 30, 74, "start", series->colour, series->label);
    return x + 60 + 7.5 * (double)strlen(series->label);
}

/* Widens *least and *most to hold all values of a series with their error bars. Returns false when it has no
 * value. */
static bool widen(const struct series *series, double *least, double *most)
{
    bool any = false;
    for (size_t i = 0; i < series->n; i++) {
        if (!is_shown(series, &series->rows[i]))
            continue;
        struct estimate value = series->value(&series->rows[i]);
        double error = isfinite(value.error) ? value.error : 0;
        *least = fmin(*least, fmax(value.mean - error, value.mean / 2));
        *most = fmax(*most, value.mean + error);
        any = true;
    }
    return any;
}

static void find_steps(struct canvas *canvas, const struct metrics *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (rows[i].steps > 0) {
            canvas->least_steps = fmin(canvas->least_steps, rows[i].steps);
            canvas->most_steps = fmax(canvas->most_steps, rows[i].steps);
        }
    }
}

static void draw(const struct canvas *canvas, const struct plot *plot, const struct series *series,
                 int n_series)
{
    FILE *out = canvas->out;
    char subtitle[256];
    snprintf(subtitle, sizeof subtitle, "judge: %s; bars: one standard error", plot->judge);
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" "
            "font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"100%%\" height=\"100%%\" "
            "fill=\"white\"/>\n",
            WIDTH, HEIGHT, WIDTH, HEIGHT);
    put_text(out, LEFT, 26, "start", ink, plot->title);
    fprintf(out, "<g font-size=\"11\">\n");
    put_text(out, LEFT, 44, "start", ink, subtitle);
    fputs("</g>\n", out);
    double x = LEFT;
    for (int i = 0; i < n_series; i++)
        x = put_legend(canvas, &series[i], x);
    put_axis(canvas, series[0].axis, true, blue);
    put_steps(canvas, plot->rows, plot->n, NULL, 0);
    put_steps(canvas, plot->others, plot->n_others, plot->rows, plot->n);
    put_text(out, (LEFT + RIGHT) / 2.0, BOTTOM + 45, "middle", ink, "refinement steps");
    for (int i = 0; i < n_series; i++)
        put_series(canvas, &series[i]);
}

/* The lines to draw. The perplexity of the texts is always there, and first. */
struct lines {
    struct axis perplexity, seconds;
    struct series shown[3];
    int n_shown;
    bool with_seconds;
    char others_label[64];
};

static bool find_lines(const struct plot *plot, struct lines *lines)
{
    double least = INFINITY, most = 0, least_s = INFINITY, most_s = 0;
    const char *other = plot->n_others > 0 ? plot->others[0].model : "";
    struct series mine = {NULL, plot->rows, plot->n,      perplexity_of,
                          blue, "none",     "perplexity", &lines->perplexity};
    struct series theirs = {other,  plot->others, plot->n_others,      perplexity_of,
                            orange, "5 3",        lines->others_label, &lines->perplexity};
    struct series time = {NULL,  plot->rows, plot->n,          seconds_of,
                          green, "2 3",      "seconds a text", &lines->seconds};
    *lines = (struct lines){.n_shown = 0};
    snprintf(lines->others_label, sizeof lines->others_label, "against %.50s", other);
    if (!widen(&mine, &least, &most))
        return false;
    lines->shown[lines->n_shown++] = mine;
    if (widen(&theirs, &least, &most))
        lines->shown[lines->n_shown++] = theirs;
    axis_init(&lines->perplexity, least, most);
    if ((lines->with_seconds = widen(&time, &least_s, &most_s))) {
        axis_init(&lines->seconds, least_s, most_s);
        lines->shown[lines->n_shown++] = time;
    }
    return true;
}

enum status plot_write(const struct plot *plot, const char *path, struct error *error)
{
    struct lines lines;
    if (!find_lines(plot, &lines))
        return error_set(error, STATUS_FAILED_PRECONDITION,
                         "%s: nothing to draw: no row has a perplexity and a number of steps", path);
    struct canvas canvas = {.out = fopen(path, "wb"), .least_steps = INFINITY};
    if (!canvas.out)
        return error_set(error, STATUS_PERMISSION_DENIED, "%s cannot be written: %s", path, strerror(errno));
    find_steps(&canvas, plot->rows, plot->n);
    find_steps(&canvas, plot->others, plot->n_others);
    draw(&canvas, plot, lines.shown, lines.n_shown);
    put_axis_title(&canvas, LEFT - 55, blue, "perplexity");
    if (lines.with_seconds) {
        put_axis(&canvas, &lines.seconds, false, green);
        put_axis_title(&canvas, RIGHT + 62, green, "seconds a text");
    }
    fputs("</svg>\n", canvas.out);
    bool failed = ferror(canvas.out) != 0;
    return fclose(canvas.out) != 0 || failed ? error_set(error, STATUS_UNKNOWN, "%s cannot be written", path)
                                             : STATUS_OK;
}
