#ifndef MILLRACE_COMMON_RPC_LISTEN_WATCH_H
#define MILLRACE_COMMON_RPC_LISTEN_WATCH_H

#include "common/rpc/connections.h"

/*
 * Internal to common/rpc: watches the queue of connections that wait to be accepted.
 *
 * Crowd. A host that connects and hangs up all the time fills the queue, and everybody waits in it. So while
 * the queue is long, the host that has the most new connections is left out: the system drops its attempts to
 * connect, for half a second the first time and twice as long each time after (at most LISTEN_LEFT_OUT_MOST
 * seconds). Connections that it has go on. Of an IPv6 address the first 64 bits count: who has one has all.
 *
 * Death. When the process has no descriptor left, gRPC 1.51 stops accepting for good. Connections then wait,
 * and none is accepted.
 */
enum { LISTEN_LEFT_OUT_MOST = 16, LISTEN_CROWD = 128, LISTEN_HOSTS = 16 };

struct listen_host {
    struct in6_addr host;
    double span;  /* seconds that it is left out; 0: the place is free */
    double until; /* monotonic seconds */
};

/* Zeroed memory is a watch. */
struct listen_watch {
    struct listen_host hosts[LISTEN_HOSTS];
    int n_filtered;      /* hosts in the filter that is in force */
    double stands_since; /* connections wait and none was accepted; 0: that is not so */
};

/* What a look has found. */
struct listen_news {
    const struct in6_addr
        *left_out; /* a host that is left out from now on; NULL: none. Until the next look */
    bool is_dead;  /* nobody has accepted for LISTEN_DEAD_SECONDS */
};

/* `list`: of connections_find; is_new is set. `now`: monotonic seconds. */
struct listen_news listen_watch_look(struct listen_watch *watch, const struct connection_list *list,
                                     double now);

#endif
