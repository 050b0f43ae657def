#ifndef MILLRACE_COORDINATOR_MONITORING_LISTENER_H
#define MILLRACE_COORDINATOR_MONITORING_LISTENER_H

#include <stddef.h>

#include "common/status.h"

/*
 * Opens a TCP socket that listens on "HOST:PORT" ("127.0.0.1:0": any free port; "[::1]:9464"). It is closed
 * on exec. `bound` gets the address with the port that the socket has. INVALID_ARGUMENT: the address is
 * malformed. UNAVAILABLE: the system refuses, for the reason in `error`. Both errors name `option`.
 */
enum status listener_open(const char *option, const char *address, int *descriptor, char *bound, size_t size,
                          struct error *error);

#endif
