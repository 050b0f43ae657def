#ifndef MILLRACE_COMMON_RPC_CONNECTION_GUARD_H
#define MILLRACE_COMMON_RPC_CONNECTION_GUARD_H

#include "common/status.h"

/*
 * Internal to common/rpc: bounds the connections of a port. gRPC accepts every connection, and when the
 * process has no descriptor left its listener stops for good (1.51). So one client that opens enough
 * connections could shut all others out.
 *
 * A thread looks twenty times a second. When there are more than `most` connections it hangs up on some,
 * until nine tenths are left. Each time it takes the address that has the most connections, and of those the
 * one that has been silent for the longest. So a client that holds few connections and uses them goes last.
 * gRPC sees each as a client that has left.
 */
struct connection_guard;

enum status connection_guard_start(int port, int most, struct connection_guard **guard, struct error *error);
/* NULL is allowed. */
void connection_guard_stop(struct connection_guard *guard);

/* The connections that the process can afford: half of its descriptors, at most 16,384. */
int connection_guard_affordable(void);

#endif
