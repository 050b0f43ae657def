#ifndef MILLRACE_COORDINATOR_SERVICES_OFFLOAD_H
#define MILLRACE_COORDINATOR_SERVICES_OFFLOAD_H

#include "common/rpc/server.h"

/*
 * Two threads that handle large messages beside the server's thread. To tokenize a megabyte takes a while,
 * and the frames of all requests wait for the server's thread. Small messages are handled there and at once:
 * that is the fastest for them.
 */
struct offload;

enum { OFFLOAD_INLINE_BYTES = 4096 }; /* up to this size a message is small */

typedef void offload_work(void *argument);
typedef void offload_handler(struct rpc_call *call, const ProtobufCMessage *message, void *context);

/* NULL without memory or threads. */
struct offload *offload_create(void);
/* Finishes what waits, and refuses what comes later. Call it before the server is closed, and offload_free
 * after that. NULL is allowed. */
void offload_close(struct offload *offload);
void offload_free(struct offload *offload);

/* Has work(argument) called on one of the threads. For callers that have a large message of their own. The
 * errors are those of offload_call. */
enum status offload_post(struct offload *offload, offload_work *work, void *argument, struct error *error);

/*
 * Call it on the server's thread. It calls handler(call, message, context): now for a small message, and
 * later on another thread for a large one, with a copy of the message and a reference to the call. By then
 * the call may be over. RESOURCE_EXHAUSTED, with a hint when to try again: too many messages wait.
 * UNAVAILABLE: after offload_close. In both cases the handler is not called, and the caller refuses the call.
 */
enum status offload_call(struct offload *offload, struct rpc_call *call, const ProtobufCMessage *message,
                         offload_handler *handler, void *context, struct error *error);

#endif
