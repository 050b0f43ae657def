#ifndef MILLRACE_WORKER_VERIFY_VERIFY_H
#define MILLRACE_WORKER_VERIFY_VERIFY_H

#include <stdbool.h>

#include "worker/collective/collective.h"
#include "worker/verify/report.h"

/*
 * `millrace-worker --verify DIRECTORY` runs every check on a directory of golden vectors (golden.h), on the
 * ranks of this job. The name of a file says which check it is for. manifest.json and the file itself say
 * which model and settings it is about. A file that no check knows counts as failed, and so does one that the
 * manifest names and that is missing.
 */
struct verify_options {
    const char *directory;
    const char *converted; /* of a published family: a directory of converted models, or NULL */
    const char *only;      /* a verify_kind, or NULL: all */
    const char *backend;
    enum precision precision;
    int gpu; /* -1: as in struct model_options */
    int n_threads;
    struct collective *collective;
};

/* The name of kind 0, 1, ...; NULL past the last. */
const char *verify_kind(int index);

/* All ranks call it together; rank 0 alone uses report->out. The findings are in the report, the same on all
 * ranks. An error means that there was nothing to check at all. */
enum status verify_run(const struct verify_options *options, struct report *report, struct error *error);

#endif
