#include "common/rpc/outbox.h"

#include <stdlib.h>

struct outbox_message {
    struct outbox_message *next;
    grpc_byte_buffer *buffer;
};

bool outbox_push(struct outbox *outbox, grpc_byte_buffer *buffer)
{
    struct outbox_message *message = malloc(sizeof *message);
    if (!message) {
        grpc_byte_buffer_destroy(buffer);
        return false;
    }
    *message = (struct outbox_message){.buffer = buffer};
    if (outbox->last)
        outbox->last->next = message;
    else
        outbox->first = message;
    outbox->last = message;
    outbox->size_bytes += grpc_byte_buffer_length(buffer);
    return true;
}

grpc_byte_buffer *outbox_pop(struct outbox *outbox)
{
    struct outbox_message *message = outbox->first;
    if (!message)
        return NULL;
    grpc_byte_buffer *buffer = message->buffer;
    outbox->first = message->next;
    if (!outbox->first)
        outbox->last = NULL;
    outbox->size_bytes -= grpc_byte_buffer_length(buffer);
    free(message);
    return buffer;
}

void outbox_clear(struct outbox *outbox)
{
    grpc_byte_buffer *buffer;
    while ((buffer = outbox_pop(outbox)))
        grpc_byte_buffer_destroy(buffer);
}
