#ifndef MILLRACE_COMMON_RPC_CONNECTION_GUARD_H
#define MILLRACE_COMMON_RPC_CONNECTION_GUARD_H

#include "common/status.h"

/*
 * Internal to common/rpc: bounds the connections of a port. gRPC itself takes every one, and when the process
 * has no descriptor left its listener stops for good (1.51): whoever opens enough connections would close the
 * door for all.
 *
 * A thread looks twenty times a second. With more than `most` connections it hangs up on some, down to nine
 * tenths: of the address that has the most of them the one that has been silent for the longest, and again.
 * Who holds a few connections and uses them is the last to go. gRPC sees each as a client that has left.
 */
struct connection_guard;

enum status connection_guard_start(int port, int most, struct connection_guard **guard, struct error *error);
/* NULL is allowed. */
void connection_guard_stop(struct connection_guard *guard);

/* What the process can afford: half of its descriptors, at most 16,384. */
int connection_guard_affordable(void);

#endif
