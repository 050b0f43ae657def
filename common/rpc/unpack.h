#ifndef MILLRACE_COMMON_RPC_UNPACK_H
#define MILLRACE_COMMON_RPC_UNPACK_H

#include <protobuf-c/protobuf-c.h>

#include "common/status.h"

/*
 * Unpacks bytes from strangers. It checks two things that protobuf-c does not:
 *  - strings are UTF-8, as proto3 demands, and hold no NUL (protobuf-c would silently end them there);
 *  - the message takes memory in proportion to its size: a few bytes on the wire can name many structures.
 * INVALID_ARGUMENT names the field, RESOURCE_EXHAUSTED the size. Free with unpack_free.
 */
enum status unpack_message(const ProtobufCMessageDescriptor *type, const void *bytes, size_t size_bytes,
                           ProtobufCMessage **message, struct error *error);
void unpack_free(ProtobufCMessage *message);

#endif
