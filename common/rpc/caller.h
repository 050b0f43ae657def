#ifndef MILLRACE_COMMON_RPC_CALLER_H
#define MILLRACE_COMMON_RPC_CALLER_H

#include <stdbool.h>
#include <stdint.h>

/* What a caller may do; a set of these. */
enum rpc_scope {
    RPC_SCOPE_GENERATE = 1, /* the public API: generate, tokenize, status */
    RPC_SCOPE_ADMIN = 2,    /* drain, restart: what changes the cluster */
    RPC_SCOPE_REPLICA = 4,  /* attach as a replica */
    RPC_SCOPES_ALL = 7,
    RPC_SCOPE_ANYBODY = 8, /* for methods, never for callers: nobody has to say who they are */
};

enum { RPC_CALLER_NAME_MAX = 64 };

/* Who calls, as the server's authoriser found it. */
struct rpc_caller {
    /* The name that goes with the token or the client certificate. Without authentication it is the client's
     * address without its port ("127.0.0.1", "[::1]", "unix"), so that limits by name are limits by machine.
     * It holds nothing that a log must not hold. */
    char name[RPC_CALLER_NAME_MAX];
    bool authenticated;
    unsigned scopes; /* of enum rpc_scope */

    /* Limits of this caller; 0: the server's default, -1: none. */
    int64_t max_requests; /* queued and running together */
    int64_t max_tokens;   /* of all its texts that are queued or running */
};

#endif
