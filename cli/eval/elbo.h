#ifndef MILLRACE_CLI_EVAL_ELBO_H
#define MILLRACE_CLI_EVAL_ELBO_H

#include <jansson.h>
#include <stdint.h>

#include "common/status.h"

/* How many bits a text costs at most. This program tokenizes the text, and ranks on this machine measure it
 * (worker/tools/elbo.h). */
struct elbo_request {
    const char *model_directory; /* NULL: the directory that places.h finds */
    const char *file;            /* the text */
    int64_t windows, length;     /* length 0: what the model was trained with */
    int64_t seed, ranks;
};

/*
 * *result is the object that the ranks print, with "file", "file_tokens", "file_bytes" and "bits_per_byte"
 * (and its error). NOT_FOUND, INVALID_ARGUMENT: a file is at fault. INTERNAL: the ranks failed; they have
 * said why. CANCELLED: the user interrupted.
 */
enum status elbo_measure_file(const struct elbo_request *request, json_t **result, struct error *error);

#endif
