#ifndef MILLRACE_COMMON_RPC_REFLECTION_H
#define MILLRACE_COMMON_RPC_REFLECTION_H

#include <stddef.h>

#include "common/rpc/server.h"

/*
 * Server reflection: clients such as grpcurl ask the server for its services and messages. Served as
 * grpc.reflection.v1alpha and grpc.reflection.v1 (one wire format, two names).
 *
 * A client asks for a file by its name, or for the file that defines a symbol: a message, an enum, a service,
 * or anything inside one (a method, a nested message). proto3 has no extensions, and we answer so.
 */
struct reflection;

/* `descriptors` is a packed FileDescriptorSet that holds every file that another imports; it is read once.
 * `services` are the names to list, ended by NULL, which must outlive it. INTERNAL when the set cannot be
 * read. */
enum status reflection_create(const void *descriptors, size_t size_bytes, const char *const *services,
                              struct reflection **reflection, struct error *error);
/* After the server is closed. NULL is allowed. */
void reflection_free(struct reflection *reflection);

struct rpc_service reflection_service(struct reflection *reflection);

#endif
