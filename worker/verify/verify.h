#ifndef MILLRACE_WORKER_VERIFY_VERIFY_H
#define MILLRACE_WORKER_VERIFY_VERIFY_H

#include <stdbool.h>

#include "worker/collective/collective.h"
#include "worker/verify/report.h"

/*
 * `millrace-worker --verify DIRECTORY`: every check on a directory of golden vectors (golden.h), on the ranks
 * at hand. Files are recognised by their names; which models and settings they are about comes from
 * manifest.json and the files. A file that no check knows, and one that the manifest names and that is not
 * there, count as failed.
 */
struct verify_options {
    const char *directory;
    const char *only; /* a verify_kind, or NULL: all */
    const char *backend;
    enum precision precision;
    int gpu; /* -1: as in struct model_options */
    int n_threads;
    struct collective *collective;
};

/* The name of kind 0, 1, ...; NULL past the last. */
const char *verify_kind(int index);

/* All ranks together; report->out is used by rank 0 alone. An error only where there is nothing to check at
 * all; what was found is in the report, which is the same on all ranks. */
enum status verify_run(const struct verify_options *options, struct report *report, struct error *error);

#endif
