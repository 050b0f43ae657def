#ifndef MILLRACE_COMMON_RPC_SERVER_H
#define MILLRACE_COMMON_RPC_SERVER_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/status.h"

/*
 * A gRPC server in callbacks. Nothing of gRPC itself shows here: common/rpc is the only directory that knows
 * it.
 *
 * Threads. One thread of the server runs every callback of every call, one after another: handlers need no
 * lock among themselves and must not block (hand work on and return). rpc_send and rpc_finish may be called
 * from any thread that holds a reference to the call; they never block and never call back.
 *
 * Life of a call. It begins with on_call and ends with exactly one on_close; `struct rpc_call *` is valid
 * between the two, and longer for whoever holds a reference. After on_close sending does nothing.
 *
 *     on_call → [on_message ...] → rpc_finish by the handler → on_close(cancelled = false)
 *                                → client cancelled, its deadline passed or it is gone → on_close(cancelled =
 * true)
 *
 * What the server answers by itself: UNIMPLEMENTED for an unknown path, INVALID_ARGUMENT for bytes that are
 * not the message of the method, RESOURCE_EXHAUSTED for a message above the limit. No callback sees such a
 * call.
 */
struct rpc_server;
struct rpc_call;

enum rpc_kind { RPC_UNARY, RPC_SERVER_STREAM, RPC_BIDI };

struct rpc_method {
    const char *path; /* "/millrace.v1.Millrace/Generate" */
    enum rpc_kind kind;
    const ProtobufCMessageDescriptor *request; /* the type of the messages that arrive */

    /* A call has arrived. `request` lives until the callback returns; NULL for RPC_BIDI. */
    void (*on_call)(struct rpc_call *call, const ProtobufCMessage *request, void *context);
    /* RPC_BIDI: the next message, which lives until the callback returns; NULL once: the client has
     * nothing more to say (the handler then finishes the call, at once or later). None comes after
     * rpc_finish. */
    void (*on_message)(struct rpc_call *call, const ProtobufCMessage *message, void *context);
    /* The call is over. May be NULL. */
    void (*on_close)(struct rpc_call *call, bool cancelled, void *context);
};

struct rpc_service {
    const char *name;                 /* "millrace.v1.Millrace" */
    const struct rpc_method *methods; /* ends with .path = NULL; must outlive the server */
    void *context;
};

struct rpc_server_options {
    const char
        *address; /* "127.0.0.1:7077", "[::]:7077", "localhost:0" (any free port), "unix:/run/millrace" */
    const struct rpc_service *services; /* ends with .name = NULL; copied */
    size_t max_message_bytes;           /* of a message that arrives; 0: 4 MiB */
    size_t max_queued_bytes;            /* that wait in one call for a slow reader; 0: 4 MiB */
    int keepalive_seconds; /* a silent peer is pinged after so long, and lost after as long again; 0: 10 */
};

/* Binds and starts serving. UNAVAILABLE names the address and the system's reason (a port in use, ...); a
 * port is never shared with another process. */
enum status rpc_server_open(const struct rpc_server_options *options, struct rpc_server **server,
                            struct error *error);

/* Where it listens, with the port it got: "127.0.0.1:41235". Valid while the server is. */
const char *rpc_server_address(const struct rpc_server *server);

/*
 * Stops: new calls are refused (UNAVAILABLE; CANCELLED for one that is on its way just now), running ones may
 * go on for grace_seconds, then they are cancelled; waits until every call has had its on_close, and frees
 * the server. Not from a callback. NULL is allowed.
 */
void rpc_server_close(struct rpc_server *server, double grace_seconds);

/* A reference keeps the struct alive, not the connection. */
struct rpc_call *rpc_call_ref(struct rpc_call *call);
void rpc_call_unref(struct rpc_call *call); /* NULL is allowed */

/* A handler's own pointer. Set it in on_call, on the server's thread. */
void rpc_call_set_user(struct rpc_call *call, void *user);
void *rpc_call_user(const struct rpc_call *call);

/* The client's address as gRPC writes it: "ipv4:127.0.0.1:40112". */
const char *rpc_call_peer(const struct rpc_call *call);
/* Seconds until the client's deadline, INFINITY if it set none. Passing it is seen as on_close(cancelled =
 * true). */
double rpc_call_seconds_left(const struct rpc_call *call);

/*
 * Queues a message behind those that were sent before. It is packed before this returns. CANCELLED when the
 * call is over or finished. A reader that is so slow that more than max_queued_bytes wait is cut off: what
 * waits is dropped, the call is finished with RESOURCE_EXHAUSTED, and that is returned (on_close follows).
 */
enum status rpc_send(struct rpc_call *call, const ProtobufCMessage *message);

/* Ends the call after what was queued. The first finish counts; false: the call was finished or over before.
 * `text` may be NULL. Bytes of `text` that are not printable ASCII or UTF-8 are escaped on the wire. */
bool rpc_finish(struct rpc_call *call, enum status status, const char *text);

/* The usual end of a RPC_UNARY call: one message, then OK. */
void rpc_reply(struct rpc_call *call, const ProtobufCMessage *message);
/* The usual end after a failure: error->status and error->text. */
void rpc_fail(struct rpc_call *call, const struct error *error);

#endif
