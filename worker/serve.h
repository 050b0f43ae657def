#ifndef MILLRACE_WORKER_SERVE_H
#define MILLRACE_WORKER_SERVE_H

#include <signal.h>

#include "worker/settings.h"

/* Both are called on rank 0, on another thread than serve's, and end the process. */
struct serve_ends {
    void (*hung)(void);    /* the coordinator gave this replica up, and nothing has moved since */
    void (*stopped)(void); /* a signal came while the model loads, and the coordinator knows */
};

/*
 * Serves a coordinator until told to end (all ranks): loads the model, takes a warm-up step, then leads or
 * follows. Where it fails, at start or in a step, the coordinator has been told why when this returns, if it
 * can be reached and rank 0 knows.
 */
enum status serve(const struct settings *settings, struct collective *collective,
                  const struct serve_ends *ends, struct error *error);

/* The signals that serve() waits for on rank 0. Block them before any thread starts. */
sigset_t serve_signals(void);

/* Removes the file of --ready-file that a replica left which was killed. Every rank calls this before any can
 * be ready. */
void serve_remove_ready_file(const struct settings *settings);

#endif
