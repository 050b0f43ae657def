#ifndef MILLRACE_COMMON_RPC_CONNECTION_GUARD_H
#define MILLRACE_COMMON_RPC_CONNECTION_GUARD_H

#include "common/rpc/traffic.h"
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
 *
 * Ten times a second (less often with thousands of connections) it looks at what the connections send, and
 * hangs up on floods (flood_watch.h). It also looks at those that wait to be let in (listen_watch.h).
 */
struct connection_guard;

struct connection_guard_options {
    int port, most;
    struct traffic *traffic; /* outlives the guard; NULL: connections are counted, and no more */
    size_t max_message_bytes;
    /* Connections wait, and none is accepted (listen_watch.h). Returns false when it could not listen again:
     * then it is called again. On the guard's thread; NULL: there is no such function. */
    bool (*listen_again)(void *context);
    void *context;
};

enum status connection_guard_start(const struct connection_guard_options *options,
                                   struct connection_guard **guard, struct error *error);
/* NULL is allowed. */
void connection_guard_stop(struct connection_guard *guard);

/* The connections that the process can afford: half of its descriptors, at most 16,384. */
int connection_guard_affordable(void);

#endif
