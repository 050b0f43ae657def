#ifndef MILLRACE_COMMON_RPC_PEER_H
#define MILLRACE_COMMON_RPC_PEER_H

#include <grpc/grpc.h>
#include <stdbool.h>

/* Internal to common/rpc: who is at the other end of a call's connection. */
struct peer {
    char *address; /* "ipv4:127.0.0.1:40112"; NULL: no memory */
    bool is_tls;
    char *
        *names; /* of its verified certificate: the common name, then the alternative names; ends with NULL */
};

void peer_read(struct peer *peer, grpc_call *call);
void peer_release(struct peer *peer);

/* The host in an address that gRPC has written: "127.0.0.1", "[::1]", "unix". Cut to the size. */
void peer_host(const char *address, char *host, size_t size);

#endif
