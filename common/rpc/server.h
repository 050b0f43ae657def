#ifndef MILLRACE_COMMON_RPC_SERVER_H
#define MILLRACE_COMMON_RPC_SERVER_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/rpc/caller.h"
#include "common/status.h"

/*
 * A gRPC server in callbacks. Nothing of gRPC itself shows here: common/rpc is the only directory that knows
 * it.
 *
 * Threads. Several threads of the server read its connections; one of them at a time has the turn and runs
 * callbacks, so the callbacks of all calls run one after another ("on the server's thread"). So handlers need
 * no lock among themselves, and they must not block: they hand work on and return. Any thread that holds a
 * reference to a call may call rpc_send and rpc_finish; these never block and never call back.
 *
 * Life of a call. It begins with on_call and ends with exactly one on_close. A `struct rpc_call *` is valid
 * between the two, and longer while somebody holds a reference. After on_close sending does nothing.
 *
 *     on_call → [on_message ...] → the handler calls rpc_finish       → on_close(cancelled = false)
 *                                → the client cancels or goes away,
 *                                  or its deadline passes             → on_close(cancelled = true)
 *
 * The server answers some calls by itself, and no callback of a method sees them:
 *  - UNIMPLEMENTED: the path is unknown;
 *  - INVALID_ARGUMENT: the bytes are not the message of the method;
 *  - RESOURCE_EXHAUSTED: a message or the headers are above the limit, or there are too many calls;
 *  - DEADLINE_EXCEEDED: the first message does not come in time;
 *  - whatever status the authoriser gives.
 *
 * Two kinds of calls do not count towards the limits of calls, so that a flood of clients cannot keep the
 * replicas out: those at the private address, and those of authenticated callers to methods that are for the
 * replica scope alone. The server closes a connection that has no calls for ten minutes, and one whose
 * handshake takes longer than ten seconds.
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

    /* With an authoriser: a caller needs one of these scopes (enum rpc_scope). 0 is RPC_SCOPE_ADMIN, so that
     * a row that forgets it is closed; RPC_SCOPE_ANYBODY asks nobody. */
    unsigned scopes;
    size_t max_queued_bytes; /* that wait in one call of this method; 0: the server's */
};

struct rpc_service {
    const char *name;                 /* "millrace.v1.Millrace" */
    const struct rpc_method *methods; /* ends with .path = NULL; must outlive the server */
    void *context;
};

/*
 * Decides about a call before the server reads any of its messages; for unknown paths too. It may ask
 * rpc_call_header, rpc_call_peer, rpc_call_is_tls and rpc_call_tls_name. `caller` is filled in as for a
 * server without authentication. On STATUS_OK the call belongs to the caller that the authoriser leaves
 * there. Any other status refuses the call with `error`, as UNAUTHENTICATED. The server itself then checks
 * that the caller has the method's scope (PERMISSION_DENIED). Runs on the server's thread; must not block.
 */
struct rpc_authorizer {
    enum status (*authorize)(const struct rpc_call *call, const char *path, struct rpc_caller *caller,
                             void *context, struct error *error);
    void *context;
};

/* Hears of every call that the authoriser or the check of scopes has refused. On the server's thread. */
struct rpc_refusals {
    void (*refused)(const char *path, void *context); /* NULL: nobody is told */
    void *context;
};

/* PEM files; the strings must outlive the server. */
struct rpc_server_tls {
    const char *cert,
        *key;              /* the server's certificate, with what is between it and the authority behind it */
    const char *client_ca; /* authorities of clients; NULL: clients show no certificate */
    bool client_optional;  /* a client may show one and need not; false: it must */
};

/*
 * Callbacks of methods in batches: what has come together is handled in a row, between one `begin` and one
 * `end`, so that what they cause can be done once. As long as `more` returns true the server looks for more
 * before it ends a batch, at most RPC_BATCH_MOST completions and some milliseconds, and never waits for them:
 * a batch of one is as fast as none. On the server's thread.
 */
enum { RPC_BATCH_MOST = 64 };

struct rpc_batch {
    void (*begin)(void *context); /* NULL: nobody wants to know */
    bool (*more)(void *context);
    void (*end)(void *context);
    void *context;
};

struct rpc_server_options {
    struct rpc_batch batch;
    const char
        *address; /* "127.0.0.1:7077", "[::]:7077", "localhost:0" (any free port), "unix:/run/millrace" */
    struct rpc_authorizer authorizer; /* .authorize = NULL: everybody may do everything */
    struct rpc_refusals refusals;
    const char *private_address; /* a second address, "unix:..." or "unix-abstract:...", never with TLS: for
                                    processes of this machine that are told of it; NULL: none */
    const struct rpc_server_tls *tls;   /* NULL: everything goes in the clear */
    const struct rpc_service *services; /* ends with .name = NULL; copied */
    size_t max_message_bytes;           /* of a message that arrives; 0: 4 MiB */
    size_t max_queued_bytes;            /* that wait in one call for a slow reader; 0: 4 MiB */
    size_t max_all_queued_bytes;        /* that wait in all calls; with more, those whose client has taken
                                           nothing for a second are cut off; 0: 256 MiB */
    int max_header_bytes;               /* of a call's headers together; 0: 16 KiB */
    int max_connections;    /* above it the server hangs up on silent ones (connection_guard.h); 0: half of
                            the descriptors that the process may have, at most 16,384 */
    int max_streams;        /* calls at the same time on one connection, more wait at the client; 0: 1024 */
    int max_calls;          /* open calls of all callers, more are refused with RESOURCE_EXHAUSTED; 0: 8192 */
    int max_caller_calls;   /* of one caller (by its name); 0: half of max_calls */
    double request_seconds; /* from the head of a call to its first message, whole; 0: 30 */
    double stall_seconds;   /* that a client may take to read one message, before it is cut off; 0: 30 */
    int keepalive_seconds;  /* a silent peer is pinged after so long, and lost after as long again; 0: 10 */
};

/* Binds and starts serving. A port or a unix path is never shared with another process. Errors:
 * INVALID_ARGUMENT: the address is none. UNAVAILABLE names the address and the system's reason, such as a
 * port in use. FAILED_PRECONDITION, NOT_FOUND and PERMISSION_DENIED name the certificate file that is wrong.
 */
enum status rpc_server_open(const struct rpc_server_options *options, struct rpc_server **server,
                            struct error *error);

/* Reads the certificates again: connections from now on get the new ones. When that fails the old ones stay
 * in force, and the sentence names the file. Does nothing without TLS. Any thread may call it. */
enum status rpc_server_reload_tls(struct rpc_server *server, struct error *error);

/* Credentials have changed: asks the authoriser once more about every open call, within a second. A call that
 * it refuses now ends with that status, whatever its client does. Any thread may call it. */
void rpc_server_recheck(struct rpc_server *server);

/* When the server had last handled everything that had come; monotonic seconds. It is older than a second
 * only while every thread is held: by connections on which something comes without a pause, or because the
 * process does not run. Until then nobody has heard what peers said. */
double rpc_server_turned_at(const struct rpc_server *server);

/* False while nobody accepts connections: the process had no descriptor left, and the server has not yet got
 * its address back. */
bool rpc_server_listens(const struct rpc_server *server);

/* Where it listens, with the port it got: "127.0.0.1:41235". Valid while the server is. */
const char *rpc_server_address(const struct rpc_server *server);

/*
 * Stops the server and frees it. New calls are refused with UNAVAILABLE, or with CANCELLED where one is just
 * on its way. Running calls may go on for grace_seconds and are then cancelled. Returns when every call has
 * had its on_close. A callback must not call it. NULL is allowed.
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
/*
 * The first header with this key (in lower case, as "traceparent") that the client sent with the call,
 * NUL-terminated. NULL: there is none. All headers together have at most max_header_bytes. A value is
 * printable ASCII, unless the key ends in "-bin": then it is any bytes, already decoded, and
 * rpc_call_header_bytes says how many.
 */
const char *rpc_call_header(const struct rpc_call *call, const char *key);
const char *rpc_call_header_bytes(const struct rpc_call *call, const char *key, size_t *size_bytes);
/* How many headers have this key. */
int rpc_call_n_headers(const struct rpc_call *call, const char *key);

/* Does the call come over TLS? */
bool rpc_call_is_tls(const struct rpc_call *call);
/* The names in the client's verified certificate: the common name, then the alternative names (DNS, URI, IP,
 * e-mail). NULL at their end, and where the client has shown no certificate. */
const char *rpc_call_tls_name(const struct rpc_call *call, int index);

/* Who calls, as the authoriser found it. Without an authoriser a caller is not authenticated, and its name is
 * its address. */
const struct rpc_caller *rpc_call_caller(const struct rpc_call *call);

/* Any thread that holds a reference may ask all of the above, even after the call. */

/* Seconds until the client's deadline; INFINITY: it set none. When it passes, on_close is called with
 * cancelled = true. */
double rpc_call_seconds_left(const struct rpc_call *call);

/*
 * Queues a message behind those that were sent before. It is packed before this returns. CANCELLED: the call
 * is over or finished. RESOURCE_EXHAUSTED: the client reads so slowly that more than max_queued_bytes wait,
 * or there is no memory. Then what waits is dropped and the call is finished with that status; on_close
 * follows.
 */
enum status rpc_send(struct rpc_call *call, const ProtobufCMessage *message);

/*
 * Metadata for the client, copied. A header goes before the answer: set it before the first rpc_send or
 * rpc_finish. A trailer goes behind it: set it before rpc_finish. False: it is too late, there are 8 already,
 * or HTTP/2 does not allow the key or the value. Keys are in lower case. Values are printable ASCII, or any
 * bytes where the key ends in "-bin".
 */
bool rpc_set_header(struct rpc_call *call, const char *key, const char *value);
bool rpc_set_trailer(struct rpc_call *call, const char *key, const char *value);

/* Ends the call behind the messages that are queued. Only the first finish counts. False: the call was
 * finished or over before. `text` may be NULL. gRPC escapes bytes of `text` that are not printable ASCII or
 * UTF-8. */
bool rpc_finish(struct rpc_call *call, enum status status, const char *text);

/* The usual end of a RPC_UNARY call: one message, then OK. */
void rpc_reply(struct rpc_call *call, const ProtobufCMessage *message);
/*
 * The usual end after a failure, with error->status and error->text. error->retry_after_ms tells the client
 * when the same call may work. It goes into two trailers: `retry-after-ms`, a decimal number, and
 * `grpc-status-details-bin`, a google.rpc.Status with the same code and sentence and one
 * google.rpc.RetryInfo. Our own client reads it back into error->retry_after_ms (client.h).
 */
void rpc_fail(struct rpc_call *call, const struct error *error);

#endif
