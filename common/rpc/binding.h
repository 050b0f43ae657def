#ifndef MILLRACE_COMMON_RPC_BINDING_H
#define MILLRACE_COMMON_RPC_BINDING_H

#include "common/address.h"

/*
 * Internal to common/rpc: what gRPC leaves out when a server begins to listen.
 *
 * It removes a unix path that is there before it binds, also one at which another program listens, who is
 * then unreachable and does not know it. And it does not say why it could not listen.
 */

/* Before gRPC binds. UNAVAILABLE: somebody listens at this unix path. *lock keeps others who call this out of
 * the path's directory, so that of two that start together one sees the other; -1: there is nothing to lock.
 */
enum status binding_begin(const struct address *address, int *lock, struct error *error);
/* After gRPC has bound, or could not. */
void binding_end(int lock);

/* gRPC could not listen: tries the same by hand, and tells the reason. */
enum status binding_refuse(const struct address *address, struct error *error);

#endif
