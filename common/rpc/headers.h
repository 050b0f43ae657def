#ifndef MILLRACE_COMMON_RPC_HEADERS_H
#define MILLRACE_COMMON_RPC_HEADERS_H

#include <grpc/grpc.h>
#include <stddef.h>

/*
 * Internal to common/rpc. The metadata that came with a call. It is copied out of gRPC, so that it lives as
 * long as a reference to the call. gRPC has decoded binary values (keys that end in "-bin").
 */
struct headers;

/* The size of a call's headers as HTTP/2 counts it (RFC 9113, 6.5.2): keys, values, and 32 bytes for each. */
size_t headers_bytes(const grpc_metadata_array *metadata);

/* NULL without memory; every lookup then finds nothing. */
struct headers *headers_copy(const grpc_metadata_array *metadata);
void headers_free(struct headers *headers);

/* The first value of `key` (lower case), NUL-terminated, and its size; NULL: there is none. */
const char *headers_find(const struct headers *headers, const char *key, size_t *size_bytes);
/* How often the key is there. */
int headers_count(const struct headers *headers, const char *key);

#endif
