#ifndef MILLRACE_COORDINATOR_HTTP_IDENTITY_H
#define MILLRACE_COORDINATOR_HTTP_IDENTITY_H

#include <microhttpd.h>

#include "common/rpc/access.h"
#include "coordinator/http/proxies.h"

/* Who may come in, as over gRPC: common/rpc/access.h decides about both. */
struct identity {
    struct access *access;  /* NULL: everybody may do everything */
    bool needs_certificate; /* a client without a verified certificate is refused */
    struct proxies proxies;
};

/*
 * Finds out who asks. Without tokens and certificates it is the client's address. UNAUTHENTICATED: it shows
 * nothing that is known here. PERMISSION_DENIED: it has none of `scopes` (enum rpc_scope).
 */
enum status identity_find(const struct identity *identity, struct MHD_Connection *connection,
                          const char *path, unsigned scopes, struct rpc_caller *caller, struct error *error);

#endif
