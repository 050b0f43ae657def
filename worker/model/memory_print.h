#ifndef MILLRACE_WORKER_MODEL_MEMORY_PRINT_H
#define MILLRACE_WORKER_MODEL_MEMORY_PRINT_H

#include <stdio.h>

#include "worker/model/memory.h"

/* `millrace-worker --plan`: what each rank of a replica would take, and what fits. Neither a GPU nor other
 * ranks are needed. */
struct memory_print_options {
    const char *directory,
        *backend; /* "cuda" plans for a GPU also where there is none; "auto": for what is here */
    enum precision precision;
    int n_ranks, batch, length, n_threads;
    bool mpi;          /* ranks with GPUs sum through the host */
    size_t size_bytes; /* of a rank's device; 0: not said */
    bool json;
};

enum status memory_print(const struct memory_print_options *options, FILE *out, struct error *error);

#endif
