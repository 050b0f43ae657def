#ifndef MILLRACE_PROTO_DESCRIPTORS_H
#define MILLRACE_PROTO_DESCRIPTORS_H

#include <stddef.h>

/* A google.protobuf.FileDescriptorSet of the public services and all that they import, as protoc writes it.
 */
extern const unsigned char proto_descriptors[];
extern const size_t proto_descriptors_size;

#endif
