#ifndef MILLRACE_COMMON_RPC_CALL_H
#define MILLRACE_COMMON_RPC_CALL_H

#include <grpc/grpc.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "common/rpc/pollers.h"
#include "common/rpc/server.h"
#include "common/rpc/traffic.h"

struct entrance;

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
    struct completion completion; /* first: gRPC hands it back to us */
    enum call_event_kind kind;
    /* Stored last and loaded first: gRPC orders the two threads, but a race detector cannot see into it. */
    _Atomic(struct rpc_call *) call;
};

struct call_list {
    struct rpc_call *first, *last;
};

/* What a call knows of its server. */
struct call_host {
    grpc_completion_queue *queue;
    size_t max_queued_bytes;        /* of one call, that wait to be sent */
    size_t max_all_queued_bytes;    /* of all calls together, before those that stand still are cut */
    atomic_size_t queued_bytes;     /* of all calls, with what gRPC has not sent yet */
    struct traffic *traffic;        /* is told what came of each call */
    size_t max_header_bytes;        /* of one call */
    double request_seconds;         /* how long a call may take to send its first message */
    double stall_seconds;           /* how long a client may take to read a message */
    struct call_list waiting, open; /* for a first message, the oldest first; all calls. With the turn */
    double swept_at;                /* when the open calls were looked at last; with the turn */
    /* The method of a path, with the context of its service; NULL: there is none. */
    const struct rpc_method *(*find)(struct call_host *host, const char *path, void **context);
    /* Fills in who calls, or says why the call is refused. */
    enum status (*admit)(struct call_host *host, const struct rpc_call *call, const char *path,
                         const struct rpc_method *method, struct rpc_caller *caller, struct error *error);
    /* May an admitted call go on? False sets the error. */
    bool (*may_stay)(struct call_host *host, const struct rpc_call *call, const struct rpc_method *method,
                     struct error *error);
    /* An admitted call is over. */
    void (*left)(struct call_host *host, const struct rpc_call *call, const struct rpc_method *method);
    void (*arrived)(struct call_host *host,
                    struct entrance *entrance); /* a slot became a call: post another */
    void (*released)(struct call_host *host);   /* a call, or a slot, has let go of gRPC */
};

/* Asks gRPC for the next call that arrives at the entrance. False: no memory for it. */
bool call_post(struct call_host *host, struct entrance *entrance);
/* Does what a completion of a call_event asks for. With the turn. */
void call_complete(struct completion *completion, bool ok);

/* ---- call_watch.c; with the turn ---- */

/* Ends calls whose first message has not come in time, and those whose client does not read what is sent.
 * Returns the seconds until the next look. */
double call_watch(struct call_host *host);
/* Ends the admitted calls that may not stay. */
void call_recheck(struct call_host *host);

#endif
