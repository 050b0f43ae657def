#ifndef MILLRACE_COMMON_RPC_CHANNEL_H
#define MILLRACE_COMMON_RPC_CHANNEL_H

#include <grpc/grpc.h>
#include <pthread.h>
#include <stdbool.h>

#include "common/address.h"
#include "common/rpc/client.h"
#include "common/rpc/metadata.h"
#include "common/rpc/security.h"

/* Internal to common/rpc: between channel.c, which owns the completion queue, and stream.c, which owns one
 * call on it. */
struct rpc_channel {
    grpc_completion_queue *queue;
    pthread_t thread;
    char *target; /* as it was given, for sentences */
    struct address address;
    size_t max_message_bytes;
    int keepalive_seconds;

    pthread_mutex_t mutex; /* guards what follows */
    grpc_channel *channel;
    struct security security;
    struct metadata headers; /* of every call */
    size_t n_own_headers;    /* the token comes behind them */
};

/* Before a call, holding the mutex: reads again what has changed of the certificates and the token. */
void channel_refresh(struct rpc_channel *channel);

/* What a completion means. Each stream has one tag of each kind: no two of a kind are ever in flight. */
enum stream_event_kind {
    STREAM_STARTED, /* the server's initial metadata came */
    STREAM_READ,    /* a message, or none any more */
    STREAM_SENT,    /* the message in flight is on its way */
    STREAM_ENDED,   /* the call is over and its status known */
    N_STREAM_EVENTS
};

struct stream_event {
    enum stream_event_kind kind;
    /* Stored last and loaded first: gRPC orders the two threads, but a race detector cannot see into it. */
    _Atomic(struct rpc_stream *) stream;
};

/* Takes note of a completion; on the channel's thread. */
void stream_complete(struct stream_event *event, bool ok);

#endif
