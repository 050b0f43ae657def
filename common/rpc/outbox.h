#ifndef MILLRACE_COMMON_RPC_OUTBOX_H
#define MILLRACE_COMMON_RPC_OUTBOX_H

#include <grpc/grpc.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * Packed messages that wait to be sent on one call, oldest first, because gRPC takes one at a time. The lock
 * of the call guards it. Zeroed memory is an empty outbox.
 */
struct outbox_message;

struct outbox {
    struct outbox_message *first, *last;
    size_t size_bytes; /* of all that wait */
};

/* Takes over the buffer. False: no memory, and the buffer is destroyed. */
bool outbox_push(struct outbox *outbox, grpc_byte_buffer *buffer);
/* Takes the oldest message out; the caller destroys it. NULL: nothing waits. */
grpc_byte_buffer *outbox_pop(struct outbox *outbox);
void outbox_clear(struct outbox *outbox);

#endif
