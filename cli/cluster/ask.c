#include "cli/cluster/ask.h"

#include <stdint.h>

#include "cli/terminal/interrupt.h"

#define LOOK_SECONDS 0.1 /* between two looks for an interruption */

enum status ask_read(struct rpc_stream *stream, ProtobufCMessage **message, struct error *error)
{
    enum rpc_read read;
    *message = NULL;
    do {
        read = rpc_stream_read(stream, LOOK_SECONDS, message);
        if (interrupt_taken()) {
            if (read == RPC_READ_MESSAGE)
                protobuf_c_message_free_unpacked(*message, NULL);
            *message = NULL;
            return error_set(error, STATUS_CANCELLED, "interrupted");
        }
    } while (read == RPC_READ_TIMEOUT);
    return STATUS_OK;
}

/* The only message, and how the call ended. */
static enum status read_answer(struct rpc_stream *stream, const ProtobufCMessageDescriptor *type,
                               ProtobufCMessage **answer, struct error *error)
{
    ProtobufCMessage *more = NULL;
    enum status status = ask_read(stream, answer, error);
    if (status == STATUS_OK && *answer)
        status = ask_read(stream, &more, error); /* the end */
    if (more)
        protobuf_c_message_free_unpacked(more, NULL);
    if (status == STATUS_OK)
        status = rpc_stream_status(stream, error);
    if (status == STATUS_OK && !*answer)
        status = error_set(error, STATUS_INTERNAL, "the server answered without a %s", type->name);
    return status;
}

enum status ask(struct rpc_channel *channel, const char *path, const ProtobufCMessage *request,
                const ProtobufCMessageDescriptor *type, double timeout_s, ProtobufCMessage **answer,
                struct error *error)
{
    struct rpc_stream *stream;
    ProtobufCMessage *message = NULL;
    enum status status = rpc_stream_open(channel, path, request, type, timeout_s, &stream, error);
    if (status != STATUS_OK)
        return status;
    status = read_answer(stream, type, &message, error);
    rpc_stream_close(stream);
    if (status == STATUS_OK)
        *answer = message;
    else if (message)
        protobuf_c_message_free_unpacked(message, NULL);
    return status;
}

enum status ask_model(struct rpc_channel *channel, const char *name, double timeout_s,
                      Millrace__V1__Model **model, struct error *error)
{
    Millrace__V1__GetModelRequest request = MILLRACE__V1__GET_MODEL_REQUEST__INIT;
    ProtobufCMessage *answer;
    if (name)
        request.model = (char *)(uintptr_t)name;
    enum status status = ask(channel, "/millrace.v1.Millrace/GetModel", &request.base,
                             &millrace__v1__model__descriptor, timeout_s, &answer, error);
    if (status == STATUS_OK)
        *model = (Millrace__V1__Model *)answer;
    return status;
}
