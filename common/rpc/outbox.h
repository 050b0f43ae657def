#ifndef MILLRACE_COMMON_RPC_OUTBOX_H
#define MILLRACE_COMMON_RPC_OUTBOX_H

#include <grpc/grpc.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * Packed messages that wait to be sent on one call, oldest first: gRPC takes one at a time. Guarded by the
 * lock of the call that owns it. Zeroed memory is an empty outbox.
 */
struct outbox_message;

struct outbox {
    struct outbox_message *first, *last;
    size_t size_bytes; /* of all that wait */
};

/* Takes the buffer over. False: no memory, and the buffer is destroyed. */
bool outbox_push(struct outbox *outbox, grpc_byte_buffer *buffer);
/* The oldest, now the caller's; NULL when nothing waits. */
grpc_byte_buffer *outbox_pop(struct outbox *outbox);
void outbox_clear(struct outbox *outbox);

#endif
