#ifndef MILLRACE_COMMON_RPC_CALL_STATE_H
#define MILLRACE_COMMON_RPC_CALL_STATE_H

#include <grpc/grpc.h>
#include <pthread.h>
#include <stdatomic.h>

#include "common/rpc/call.h"
#include "common/rpc/headers.h"
#include "common/rpc/metadata.h"
#include "common/rpc/outbox.h"
#include "common/rpc/peer.h"

/* Internal to call*.c. `user`, `announced`, the lists and all callbacks belong to the thread
 * that has the turn (pollers.h). Everything below `mutex` is guarded by it. */
struct rpc_call {
    struct call_host *host;
    struct entrance *entrance; /* through which it came */
    atomic_int references;     /* one while gRPC has it, one for each rpc_call_ref */
    struct call_event events[N_CALL_EVENTS];

    /* Written by gRPC between a batch and its completion. */
    grpc_call *call;
    grpc_call_details details;
    grpc_metadata_array metadata;
    grpc_byte_buffer *incoming;
    int cancelled;

    const struct rpc_method *method;
    void *context;
    struct peer peer;
    struct headers *headers;
    struct rpc_caller caller;
    void *user;
    bool announced;
    bool admitted; /* and counted */

    /* What came of it, for flood_watch.h. */
    struct peer_key key;
    bool is_tcp;       /* and `key` says whose */
    bool is_reading;   /* a message is expected, and counted */
    double arrived_at; /* monotonic seconds */

    /* call_list.c */
    bool is_waiting; /* for its first message */
    double waits_until;
    struct rpc_call *next_waiting, *previous_waiting;
    bool is_open; /* and in the list of open calls */
    struct rpc_call *next_open, *previous_open;

    pthread_mutex_t mutex;
    int n_batches; /* in flight */
    struct outbox outbox;
    grpc_byte_buffer *outgoing; /* in flight */
    bool sending;               /* a batch that sends is in flight */
    double sending_since;       /* monotonic seconds */
    bool metadata_sent;
    bool finishing, status_sent; /* a status was chosen; its batch was started */
    bool closed;
    enum status status;
    grpc_slice status_text;
    struct metadata initial, trailers; /* to send */
};

/* ---- call_list.c; with the turn ---- */

void call_begin_waiting(struct rpc_call *call);
void call_end_waiting(struct rpc_call *call);
void call_begin_open(struct rpc_call *call);
void call_end_open(struct rpc_call *call);

/* ---- call.c ---- */

/* Does the method say how much may wait for a client? Then it does not count towards the bound of all calls.
 */
static inline bool call_has_own_bound(const struct rpc_call *call)
{
    return call->method && call->method->max_queued_bytes;
}

/* Ends the call now, whatever waits to be sent. The client hears the status if it still reads. */
void call_cut(struct rpc_call *call, enum status status, const char *text);

#endif
