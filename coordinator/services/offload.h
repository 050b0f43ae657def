#ifndef MILLRACE_COORDINATOR_SERVICES_OFFLOAD_H
#define MILLRACE_COORDINATOR_SERVICES_OFFLOAD_H

#include "common/rpc/server.h"

/*
 * Large messages are handled beside the server's thread, by two threads of their own: a megabyte of text
 * takes a while to tokenize, and everybody else's frames wait for that thread. Small ones are handled at
 * once, which is soonest.
 */
struct offload;

typedef void offload_handler(struct rpc_call *call, const ProtobufCMessage *message, void *context);

/* NULL without memory or threads. */
struct offload *offload_create(void);
/* What waits is done, what comes later is refused. Before the server is closed; then free. NULL is allowed.
 */
void offload_close(struct offload *offload);
void offload_free(struct offload *offload);

/*
 * On the server's thread: calls handler(call, message, context) now, or later on another thread with a copy
 * of the message and a reference to the call. `call` may be over by then. RESOURCE_EXHAUSTED, with a hint,
 * when too many wait already, and UNAVAILABLE after offload_close: the handler is not called, and the call is
 * the caller's to refuse.
 */
enum status offload_call(struct offload *offload, struct rpc_call *call, const ProtobufCMessage *message,
                         offload_handler *handler, void *context, struct error *error);

#endif
