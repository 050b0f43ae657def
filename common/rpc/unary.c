#include <math.h>

#include "common/rpc/client.h"

/* The one message of a stream that ends OK; the deadline is the stream's own. */
static enum status read_only_message(struct rpc_stream *stream, const ProtobufCMessageDescriptor *type,
                                     ProtobufCMessage **response, struct error *error)
{
    ProtobufCMessage *message = NULL;
    rpc_stream_read(stream, INFINITY, &message);
    enum status status = rpc_stream_status(stream, error);
    if (status == STATUS_OK && !message)
        status = error_set(error, STATUS_INTERNAL, "the server answered without a %s", type->name);
    if (status == STATUS_OK)
        *response = message;
    else
        protobuf_c_message_free_unpacked(message, NULL);
    return status;
}

enum status rpc_unary(struct rpc_channel *channel, const char *path, const ProtobufCMessage *request,
                      const ProtobufCMessageDescriptor *response_type, double timeout_seconds,
                      ProtobufCMessage **response, struct error *error)
{
    struct rpc_stream *stream;
    enum status status =
        rpc_stream_open(channel, path, request, response_type, timeout_seconds, &stream, error);
    if (status != STATUS_OK)
        return status;
    status = read_only_message(stream, response_type, response, error);
    rpc_stream_close(stream);
    return status;
}
