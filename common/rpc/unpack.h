#ifndef MILLRACE_COMMON_RPC_UNPACK_H
#define MILLRACE_COMMON_RPC_UNPACK_H

#include <protobuf-c/protobuf-c.h>

#include "common/status.h"

/*
 * Unpacks bytes that nobody vouches for, with what protobuf-c leaves out:
 *  - strings are UTF-8, as proto3 demands, and hold no NUL (protobuf-c would silently end them there);
 *  - the message takes memory in proportion: a few bytes of wire can name many structures.
 * INVALID_ARGUMENT names the field, RESOURCE_EXHAUSTED the size. Free with unpack_free.
 */
enum status unpack_message(const ProtobufCMessageDescriptor *type, const void *bytes, size_t size_bytes,
                           ProtobufCMessage **message, struct error *error);
void unpack_free(ProtobufCMessage *message);

#endif
