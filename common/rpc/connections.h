#ifndef MILLRACE_COMMON_RPC_CONNECTIONS_H
#define MILLRACE_COMMON_RPC_CONNECTIONS_H

#include "common/rpc/traffic.h"

/*
 * Internal to common/rpc: the TCP connections of a port, as the system sees them. gRPC does not tell of them.
 * They are those of the process's descriptors whose local port is ours.
 *
 * Hanging up means shutdown and not close, because the descriptor stays gRPC's. Between the look and the
 * shutdown gRPC may have closed a connection and opened another under the same number, so its peer is
 * compared once more just before.
 */
struct connection {
    int descriptor;
    struct peer_key peer;
    unsigned silent_ms;      /* since it sent something */
    uint64_t received_bytes; /* from the peer, since it began */
    uint64_t sent_bytes;     /* that the peer has acknowledged */
    bool is_new;             /* no look has seen it before; set by flood_watch_look */
};

/* Zeroed memory is an empty list. */
struct connection_list {
    struct connection *items; /* [n] */
    size_t n, capacity;
    int listener;      /* the descriptor; -1: nobody listens */
    unsigned n_queued; /* connections that wait at it to be accepted */
};

/* The number of open descriptors. It is cheap to find, and never less than the number of connections. */
size_t connections_count_descriptors(void);
/* Lists the connections of the port. Without memory some are left out. */
void connections_find(struct connection_list *list, int port);
void connections_release(struct connection_list *list);

/* False: the connection is gone by now. gRPC sees a client that has left. */
bool connection_hang_up(const struct connection *connection, int port);
/* Bytes that it has sent and that nobody has read yet. */
size_t connection_unread_bytes(const struct connection *connection);

#endif
