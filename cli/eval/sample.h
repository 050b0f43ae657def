#ifndef MILLRACE_CLI_EVAL_SAMPLE_H
#define MILLRACE_CLI_EVAL_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

/* One text that is measured: written by a cluster now, or read from a file. */
struct sample {
    char *model; /* what wrote it */
    char *text;  /* UTF-8 */
    uint32_t *ids;
    size_t n_ids;
    uint32_t steps;
    uint64_t seed;
    double log_probability; /* the model's own: natural logarithm, mean over its tokens; NaN: not known */
    double seconds;         /* from the request to the finished text; NaN: not known */
    double nll;             /* the judge's: Σ −ln p over its own tokens */
    double n_judge_tokens;  /* 0: not judged */
};

struct sample_list {
    struct sample *samples;
    size_t n, capacity;
};

/* Adds a sample of zeros, with NaN where a value is not known yet; NULL without memory. */
struct sample *sample_list_add(struct sample_list *list);
void sample_list_release(struct sample_list *list);

/*
 * A file with a JSON object a line: "text" and "ids", and if they are known "model", "steps", "seed" (a
 * number or a string of digits), "mean_log_probability", "seconds". Other keys are left alone. Errors name
 * file, line and key.
 */
enum status sample_list_read(const char *path, struct sample_list *list, struct error *error);
enum status sample_list_write(const char *path, const struct sample_list *list, struct error *error);

#endif
