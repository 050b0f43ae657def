#ifndef MILLRACE_COMMON_RPC_CHANNEL_H
#define MILLRACE_COMMON_RPC_CHANNEL_H

#include <grpc/grpc.h>
#include <pthread.h>
#include <stdbool.h>

#include "common/address.h"
#include "common/rpc/client.h"
#include "common/rpc/metadata.h"
#include "common/rpc/security.h"

/* Internal to common/rpc: the connection, which owns the completion queue. It knows nothing of the calls on
 * it (stream.c): each completion carries the function to call. */
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

/* Reads certificates and token again where they have changed. Call before each call, holding the mutex. */
void channel_refresh(struct rpc_channel *channel);

/* gRPC gets a pointer to this as the tag of a batch. It is the first member of the struct that waits for the
 * batch. */
struct completion;
typedef void completion_handler(struct completion *completion, bool ok);

struct completion {
    /* Called on the channel's thread. Stored last and loaded first: gRPC orders the two threads, but a race
     * detector cannot see into it. */
    _Atomic(completion_handler *) complete;
};

#endif
