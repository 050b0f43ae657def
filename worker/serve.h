#ifndef MILLRACE_WORKER_SERVE_H
#define MILLRACE_WORKER_SERVE_H

#include <signal.h>

#include "worker/settings.h"

/*
 * Serves a coordinator until told to end (all ranks): loads the model, takes a warm-up step, then leads or
 * follows. `hung` is called on rank 0, on a thread of its own, when the coordinator gave this replica up and
 * nothing has moved since; it ends the process.
 */
enum status serve(const struct settings *settings, struct collective *collective, void (*hung)(void),
                  struct error *error);

/* The signals that serve() waits for on rank 0. Block them before any thread starts. */
sigset_t serve_signals(void);

/* Removes the file of --ready-file that a replica left which was killed. Every rank calls this before any can
 * be ready. */
void serve_remove_ready_file(const struct settings *settings);

#endif
