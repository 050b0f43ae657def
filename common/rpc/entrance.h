#ifndef MILLRACE_COMMON_RPC_ENTRANCE_H
#define MILLRACE_COMMON_RPC_ENTRANCE_H

#include <grpc/grpc.h>
#include <stdbool.h>

#include "common/address.h"
#include "common/rpc/pollers.h"
#include "common/rpc/tls_server.h"

/*
 * Internal to common/rpc: one address at which a server listens, as a server of gRPC.
 *
 * Each entrance has buffers of its own (a resource quota). So clients who fill those of the public address do
 * not cost the replicas behind the private address their lines: gRPC makes room by cutting whichever
 * connection it finds first. And gRPC cannot begin to listen again. So an entrance whose listener has died is
 * closed, and another one is opened in its place (server.c).
 */
struct entrance_limits {
    int keepalive_ms, max_streams;
    size_t max_message_bytes;
};

struct entrance_place {
    const char *text;       /* the address */
    bool is_private;        /* nobody else can be there: its directory is ours, and locked */
    struct tls_server *tls; /* NULL: in the clear */
};

struct entrance {
    struct completion drained; /* the tag of its shutdown */
    grpc_server *server;
    bool is_drained;     /* gRPC says that no connection is left */
    bool is_closing;     /* it takes no call any more */
    int n_missing_slots; /* for which there was no memory */
    struct entrance *next;
};

/* Binds the place's address, which is parsed in `address`. Calls come once grpc_server_start is called.
 * `port`: what it got, 0 for a unix path. Errors: those of rpc_server_open; `entrance` is NULL or must be
 * freed after its shutdown all the same. */
enum status entrance_open(const struct entrance_place *place, const struct address *address,
                          const struct entrance_limits *limits, grpc_completion_queue *queue,
                          struct entrance **entrance, int *port, struct error *error);
/* After its shutdown is complete, or before it was started. NULL is allowed. */
void entrance_free(struct entrance *entrance);

#endif
