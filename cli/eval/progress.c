#include "cli/eval/progress.h"

#include <unistd.h>

void progress_begin(struct progress *progress, FILE *out, const char *what, size_t n)
{
    *progress = (struct progress){.out = out, .is_terminal = isatty(fileno(out)), .what = what, .n = n};
    progress_show(progress, 0);
}

void progress_show(const struct progress *progress, size_t n_done)
{
    if (!progress->is_terminal)
        return;
    fprintf(progress->out, "\r\033[K%s: %zu of %zu", progress->what, n_done, progress->n);
    fflush(progress->out);
}

void progress_end(const struct progress *progress, size_t n_done, double seconds)
{
    fprintf(progress->out, "%s%s: %zu of %zu in %.1f s\n", progress->is_terminal ? "\r\033[K" : "",
            progress->what, n_done, progress->n, seconds);
}
