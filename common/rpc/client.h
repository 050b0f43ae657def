#ifndef MILLRACE_COMMON_RPC_CLIENT_H
#define MILLRACE_COMMON_RPC_CLIENT_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/status.h"

/*
 * A gRPC client for ordinary threads: calls that block, with timeouts.
 *
 * A channel is one connection to one server. It is made when the first call needs it, and again when it
 * broke. It owns one thread, which talks to gRPC; the functions here wait for that thread. Any number of
 * threads may use a channel.
 *
 * The caller frees messages that arrive with protobuf_c_message_free_unpacked(message, NULL). Timeouts are in
 * seconds; INFINITY waits for ever. Nothing here is safe in a signal handler: let another thread call
 * rpc_stream_cancel, or read with a timeout and look at a flag between.
 */
struct rpc_channel;
struct rpc_stream;

/* A header for every call of a channel: the key in lower case. */
struct rpc_header {
    const char *key, *value;
};

/*
 * How a client checks who answers, and says who it is. All zero: it talks in the clear and shows nothing. The
 * strings must outlive the channel. The channel reads the files when it opens. When a call begins and a file
 * has changed, it reads them again and makes a new connection; calls that run go on over the old one.
 */
struct rpc_security {
    const char *tls_ca; /* PEM file of the authorities that vouch for the server; "system": this machine's */
    const char *tls_cert, *tls_key; /* PEM files: the client's own certificate; both or neither */
    const char *tls_server_name;    /* in the server's certificate; NULL: the target's host */
    const char *token_file;         /* a bearer token, its first line */
    const char *token;              /* the token itself, where there is no file; never from a command line */
    bool plaintext_token;           /* a token may go to another machine without TLS */
};

struct rpc_channel_options {
    size_t max_message_bytes; /* of a message that arrives; 0: 64 MiB */
    int keepalive_seconds; /* a silent server is pinged after so long, and lost after as long again; 0: 10 */
    const struct rpc_header *headers;    /* ends with .key = NULL, at most 8, copied; NULL: none */
    const struct rpc_security *security; /* copied, not its strings; NULL: all zero */
};

/* `target` is an address to call (common/address.h). Does not connect yet. `options` may be NULL.
 * INVALID_ARGUMENT: the target is no address, or HTTP/2 does not allow a header. Other errors name the file
 * of `security` that is wrong. */
enum status rpc_channel_open(const char *target, const struct rpc_channel_options *options,
                             struct rpc_channel **channel, struct error *error);
/* Every stream must have been closed. NULL is allowed. */
void rpc_channel_close(struct rpc_channel *channel);

/* Calls and waits for the answer. Errors carry the server's status and sentence; UNAVAILABLE: nobody answers
 * there; DEADLINE_EXCEEDED: not within timeout_seconds. */
enum status rpc_unary(struct rpc_channel *channel, const char *path, const ProtobufCMessage *request,
                      const ProtobufCMessageDescriptor *response_type, double timeout_seconds,
                      ProtobufCMessage **response, struct error *error);

/*
 * Begins a call that streams. With a `request` it sends that and closes the sending side (server streaming).
 * With NULL it is bidirectional, and rpc_stream_write sends. timeout_seconds is the deadline of the whole
 * call; the server sees it too.
 *
 * One thread reads; any threads may write or cancel meanwhile. Where the server cannot be reached, the first
 * read ends the stream with UNAVAILABLE.
 */
enum status rpc_stream_open(struct rpc_channel *channel, const char *path, const ProtobufCMessage *request,
                            const ProtobufCMessageDescriptor *response_type, double timeout_seconds,
                            struct rpc_stream **stream, struct error *error);

enum rpc_read {
    RPC_READ_MESSAGE, /* *message is the caller's */
    RPC_READ_TIMEOUT, /* nothing came within timeout_seconds; the stream goes on, read again */
    RPC_READ_END,     /* the stream is over: rpc_stream_status says how */
};
/* The next message. timeout_seconds of 0 only looks. */
enum rpc_read rpc_stream_read(struct rpc_stream *stream, double timeout_seconds, ProtobufCMessage **message);

/*
 * Calls notify(context) whenever something new can be read: a message, or the end. So one thread can serve
 * many streams: notify puts the stream on a list of its own, and the thread then reads with a timeout of 0
 * until RPC_READ_TIMEOUT. It is called at once where something is there already, else on the channel's
 * thread, which it must not hold up; it must call no function of this stream.
 */
void rpc_stream_notify(struct rpc_stream *stream, void (*notify)(void *context), void *context);

/* How the call ended; on the reading thread. error->retry_after_ms is set where the server has sent such a
 * hint (server.h, rpc_fail), so also after rpc_unary. UNAVAILABLE for reasons of TLS says them; finding out
 * may take some seconds more. Before RPC_READ_END it drops the messages that still come and waits. OK, or the
 * server's status with its sentence in `error`; CANCELLED after rpc_stream_cancel. */
enum status rpc_stream_status(struct rpc_stream *stream, struct error *error);

/*
 * Queues a message (packed before this returns) behind those before it; never blocks. CANCELLED when the call
 * is over or the sending side closed; RESOURCE_EXHAUSTED when more than 64 MiB wait because the server does
 * not read, or without memory: nothing is queued then.
 */
enum status rpc_stream_write(struct rpc_stream *stream, const ProtobufCMessage *message);

/* Says that nothing more will be written, after what is queued. The server then ends the call in its own
 * time. So the clean end of a bidirectional stream is: close_send, read until RPC_READ_END,
 * rpc_stream_status, close. */
void rpc_stream_close_send(struct rpc_stream *stream);

/* Ends the call now, from any thread, any number of times: a read that waits returns RPC_READ_END, and the
 * status is CANCELLED unless the call had ended before. */
void rpc_stream_cancel(struct rpc_stream *stream);

/* Cancels what still runs (what is queued and not yet sent is lost), waits until it is over and frees the
 * stream; no other thread may use it any more. NULL is allowed. */
void rpc_stream_close(struct rpc_stream *stream);

#endif
