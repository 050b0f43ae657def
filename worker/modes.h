#ifndef MILLRACE_WORKER_MODES_H
#define MILLRACE_WORKER_MODES_H

#include "worker/settings.h"

/* What a worker does without a coordinator. All ranks call these together. */

/* --bench and --elbo: measures, and prints. */
enum status mode_measure(const struct settings *settings, struct collective *collective, struct error *error);

/* --verify: checks golden vectors, and prints. A check that fails is an outcome, not a failure to run:
 * *failed says that there was one. */
enum status mode_verify(const struct settings *settings, struct collective *collective, bool *failed,
                        struct error *error);

/* --plan: prints what ranks would take; needs no other rank. Returns the exit code. */
int mode_plan(const struct settings *settings);
/* Prints "cuda 8": the backend that would be used, and how many devices it sees. */
int mode_devices(const struct settings *settings);

#endif
