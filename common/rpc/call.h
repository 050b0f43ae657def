#ifndef MILLRACE_COMMON_RPC_CALL_H
#define MILLRACE_COMMON_RPC_CALL_H

#include <grpc/grpc.h>
#include <stdbool.h>

#include "common/rpc/server.h"

/* Internal to common/rpc. server.c owns the completion queue; call.c owns one call on it. This is what each
 * knows of the other. */

/* The meaning of a completion. Each call has one tag of each kind: no two of a kind are ever in flight. */
enum call_event_kind {
    CALL_ARRIVED, /* the slot that waited for a call has one; not ok: the server shuts down */
    CALL_READ,    /* a message, or the client's end */
    CALL_SENT,    /* the batch in flight is on its way */
    CALL_CLOSED,  /* the call is over, in whatever way */
    N_CALL_EVENTS
};

struct call_event {
    enum call_event_kind kind;
    /* Stored last and loaded first: gRPC orders the two threads, but a race detector cannot see into it. */
    _Atomic(struct rpc_call *) call;
};

/* Calls whose first message has not come yet, the oldest first. */
struct call_wait {
    struct rpc_call *first, *last;
};

/* What a call knows of its server. */
struct call_host {
    grpc_server *server;
    grpc_completion_queue *queue;
    size_t max_queued_bytes;
    size_t max_header_bytes; /* of one call */
    double request_seconds;  /* how long a call may take to send its first message */
    struct call_wait waiting;
    /* The method of a path, with the context of its service; NULL: there is none. */
    const struct rpc_method *(*find)(struct call_host *host, const char *path, void **context);
    /* Fills in who calls, or says why the call is refused. */
    enum status (*admit)(struct call_host *host, const struct rpc_call *call, const char *path,
                         const struct rpc_method *method, struct rpc_caller *caller, struct error *error);
    /* An admitted call is over. */
    void (*left)(struct call_host *host, const struct rpc_call *call, const struct rpc_method *method);
    void (*arrived)(struct call_host *host);  /* a slot became a call: post another */
    void (*released)(struct call_host *host); /* a call, or a slot, has let go of gRPC */
};

/* Asks gRPC for the next call that arrives. False: no memory for it. */
bool call_post(struct call_host *host);
/* Ends calls whose first message has not come in time. Returns the seconds until the next look; INFINITY: no
 * call waits. On the server's thread. */
double call_expire(struct call_host *host);
/* Does what a completion asks for. On the server's thread. */
void call_complete(struct call_event *event, bool ok);

#endif
