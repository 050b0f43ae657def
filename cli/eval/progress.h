#ifndef MILLRACE_CLI_EVAL_PROGRESS_H
#define MILLRACE_CLI_EVAL_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Shows how far a long piece of work is. On a terminal this is a line that is written anew; elsewhere one
 * line is written when the work is done. */
struct progress {
    FILE *out;
    bool is_terminal;
    const char *what; /* "writing texts of 8 steps"; the caller's */
    size_t n;         /* how much there is to do */
};

void progress_begin(struct progress *progress, FILE *out, const char *what, size_t n);
void progress_show(const struct progress *progress, size_t n_done);
/* The line stays as it is, with the time that it took. */
void progress_end(const struct progress *progress, size_t n_done, double seconds);

#endif
