#ifndef MILLRACE_COORDINATOR_MONITORING_LISTENER_H
#define MILLRACE_COORDINATOR_MONITORING_LISTENER_H

#include <stddef.h>

#include "common/status.h"

/*
 * A TCP socket that listens on "HOST:PORT" ("127.0.0.1:0": any free port; "[::1]:9464"), closed on exec.
 * `bound` gets the address with the port that it has. INVALID_ARGUMENT for an address that is none,
 * UNAVAILABLE with the system's reason; both name `option`.
 */
enum status listener_open(const char *option, const char *address, int *descriptor, char *bound, size_t size,
                          struct error *error);

#endif
