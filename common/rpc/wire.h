#ifndef MILLRACE_COMMON_RPC_WIRE_H
#define MILLRACE_COMMON_RPC_WIRE_H

#include <grpc/grpc.h>
#include <protobuf-c/protobuf-c.h>

#include "common/status.h"

/* Internal to common/rpc: what the server and the client both need from gRPC's C core (1.51). */

/* Starts the library and sends its own messages to the log at debug level. What a person has to know comes
 * back from our functions as a sentence. Pair with grpc_shutdown. */
void wire_open(void);

/* The packed message; the caller destroys it. */
grpc_byte_buffer *wire_pack(const ProtobufCMessage *message);
/* NULL when the bytes are no message of that type. Freed with protobuf_c_message_free_unpacked(message,
 * NULL). */
ProtobufCMessage *wire_unpack(grpc_byte_buffer *buffer, const ProtobufCMessageDescriptor *type);

/* The same for bytes of strangers (unpack.h); freed with unpack_free. */
enum status wire_unpack_checked(grpc_byte_buffer *buffer, const ProtobufCMessageDescriptor *type,
                                ProtobufCMessage **message, struct error *error);

/* Turns seconds from now (INFINITY: for ever) into gRPC's time, and back. */
gpr_timespec wire_deadline(double seconds);
double wire_seconds_left(gpr_timespec deadline);

/* Turns gRPC's code into our status. The numbers are the same, but any number may come over the wire. */
enum status wire_status(grpc_status_code code);

/* A NUL-terminated copy. Free with free. */
char *wire_text(grpc_slice slice);

/* Channel arguments are an array of these. */
/* Compressed messages are refused: gRPC unpacks them without a bound, a megabyte to a gigabyte. */
grpc_arg wire_uncompressed_argument(void);
grpc_arg wire_integer_argument(const char *key, int value);

#endif
