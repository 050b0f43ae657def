#include "common/rpc/wire.h"

#include <grpc/byte_buffer_reader.h>
#include <grpc/support/log.h>
#include <grpc/support/time.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/rpc/unpack.h"

static void log_from_grpc(gpr_log_func_args *line)
{
    log_debug("grpc %s:%d: %s", line->file, line->line, line->message);
}

void wire_open(void)
{
    gpr_set_log_function(log_from_grpc);
    grpc_init();
}

grpc_byte_buffer *wire_pack(const ProtobufCMessage *message)
{
    grpc_slice slice = grpc_slice_malloc(protobuf_c_message_get_packed_size(message));
    protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(slice));
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return buffer;
}

/* All bytes of the buffer as one slice; empty when they cannot be read. */
static grpc_slice read_all(grpc_byte_buffer *buffer)
{
    grpc_byte_buffer_reader reader;
    if (!grpc_byte_buffer_reader_init(&reader, buffer))
        return grpc_empty_slice();
    grpc_slice slice = grpc_byte_buffer_reader_readall(&reader);
    grpc_byte_buffer_reader_destroy(&reader);
    return slice;
}

ProtobufCMessage *wire_unpack(grpc_byte_buffer *buffer, const ProtobufCMessageDescriptor *type)
{
    grpc_slice slice = read_all(buffer);
    ProtobufCMessage *message =
        protobuf_c_message_unpack(type, NULL, GRPC_SLICE_LENGTH(slice), GRPC_SLICE_START_PTR(slice));
    grpc_slice_unref(slice);
    return message;
}

enum status wire_unpack_checked(grpc_byte_buffer *buffer, const ProtobufCMessageDescriptor *type,
                                ProtobufCMessage **message, struct error *error)
{
    grpc_slice slice = read_all(buffer);
    enum status status =
        unpack_message(type, GRPC_SLICE_START_PTR(slice), GRPC_SLICE_LENGTH(slice), message, error);
    grpc_slice_unref(slice);
    return status;
}

gpr_timespec wire_deadline(double seconds)
{
    if (seconds > 1e9) /* decades: gRPC's own "for ever" */
        return gpr_inf_future(GPR_CLOCK_MONOTONIC);
    gpr_timespec span = gpr_time_from_nanos((int64_t)(fmax(seconds, 0) * 1e9), GPR_TIMESPAN);
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), span);
}

double wire_seconds_left(gpr_timespec deadline)
{
    if (!gpr_time_cmp(deadline, gpr_inf_future(deadline.clock_type)))
        return INFINITY;
    gpr_timespec span = gpr_time_sub(deadline, gpr_now(deadline.clock_type));
    return (double)span.tv_sec + span.tv_nsec * 1e-9;
}

enum status wire_status(grpc_status_code code)
{
    return (unsigned)code <= STATUS_UNAUTHENTICATED ? (enum status)code : STATUS_UNKNOWN;
}

char *wire_text(grpc_slice slice)
{
    return strndup((const char *)GRPC_SLICE_START_PTR(slice), GRPC_SLICE_LENGTH(slice));
}

grpc_arg wire_uncompressed_argument(void)
{
    return wire_integer_argument(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1 << GRPC_COMPRESS_NONE);
}

grpc_arg wire_integer_argument(const char *key, int value)
{
    return (grpc_arg){.type = GRPC_ARG_INTEGER, .key = (char *)key, .value.integer = value};
}
