/* Plays a made-up request on this terminal: words appear, change and settle, as a model's would. */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "cli/terminal/view.h"
#include "common/philox.h"

enum { STEPS = 12, PAUSE_MS = 250 };

static const char *const story[] = {
    "Once", " upon",    " a",      " time",  " there",   " was",  " a",      " little", " girl",
    " who", " lived",   " in",     " a",     " village", " near", " the",    " forest", ".",
    "\n\n", "When",     "ever",    " she",   " went",    " out",  ",",       " she",    " wore",
    " a",   " red",     " riding", " cloak", ",",        " so",   " every",  "one",     " in",
    " the", " village", " called", " her",   " Little",  " Red",  " Riding", " Hood",   ".",
    " The", " caf\xC3", "\xA9",    " 漢字",  " 🙂",    " was",  " closed", "."};
enum { N_WORDS = sizeof story / sizeof *story };

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, "C.UTF-8");
    bool from_mask = argc > 1 && !strcmp(argv[1], "mask");
    struct canvas canvas;
    struct view view;
    struct error error;
    view_init(&view, !getenv("NO_COLOR"));
    if (canvas_init(&canvas, N_WORDS, 4, STEPS, &error) != STATUS_OK)
        return EXIT_FAILURE;
    for (uint32_t step = 0; step <= STEPS; step++) {
        canvas_begin_step(&canvas, step);
        for (uint32_t i = 0; i < N_WORDS; i++) {
            bool changes = step == 0 || philox_uniform(1, step, i, PHILOX_JUMP) < 1.0 / (STEPS + 1 - step);
            if (i < 4 && step > 0)
                continue;
            bool settled = i < 4 || philox_uniform(2, step, i, PHILOX_DRAW) < (double)step / STEPS;
            const char *word =
                settled ? story[i] : story[(uint32_t)(philox_uniform(3, step, i, PHILOX_DRAW) * N_WORDS)];
            if (step == 0 && i >= 4 && from_mask)
                word = "";
            if (changes)
                canvas_set(&canvas, i, 0, word, strlen(word), &error);
        }
        struct winsize size = {.ws_col = 80, .ws_row = 24};
        ioctl(1, TIOCGWINSZ, &size);
        view_draw(&view, &canvas, (struct view_progress){100 * step},
                  (struct view_size){size.ws_col, size.ws_row}, stdout);
        fflush(stdout);
        nanosleep(&(struct timespec){0, PAUSE_MS * 1000000L}, NULL);
    }
    puts("");
    fputs("\033[?25h", stdout);
    canvas_release(&canvas);
    view_release(&view);
    return EXIT_SUCCESS;
}
