#ifndef MILLRACE_COMMON_RPC_BINDING_H
#define MILLRACE_COMMON_RPC_BINDING_H

#include "common/address.h"
#include "common/file_lock.h"

/*
 * Internal to common/rpc: what gRPC leaves out when a server begins to listen.
 *
 * Before gRPC binds a unix path it removes what is there, even the socket of a program that listens. That
 * program is then unreachable and does not know it. And gRPC does not say why it could not listen.
 */

struct binding {
    struct file_lock lock; /* of the directory of a unix path */
    bool is_locked;
};

/* Call before gRPC binds. UNAVAILABLE: a program listens at this unix path. The binding keeps other callers
 * out of the path's directory, so that when two programs start together one sees the other. */
enum status binding_begin(const struct address *address, struct binding *binding, struct error *error);
/* Call after gRPC has bound, or could not. */
void binding_end(struct binding *binding);

/* gRPC could not listen: tries the same by hand and sets the reason. Always returns an error. */
enum status binding_refuse(const struct address *address, struct error *error);

#endif
