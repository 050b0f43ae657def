#ifndef MILLRACE_COMMON_RPC_METADATA_H
#define MILLRACE_COMMON_RPC_METADATA_H

#include <grpc/grpc.h>
#include <stdbool.h>

#include "common/status.h"

/* Internal to common/rpc: metadata to send. Zeroed memory is empty. The lock of the call guards it. */
enum { METADATA_MAX = 8 };

struct metadata {
    grpc_metadata items[METADATA_MAX];
    size_t n;
};

/* Copies both. False: there are METADATA_MAX already, or gRPC refuses the key or the bytes of the value. */
bool metadata_add(struct metadata *metadata, const char *key, const void *value, size_t size_bytes);
/* Removes all but the first n. */
void metadata_cut(struct metadata *metadata, size_t n);
void metadata_clear(struct metadata *metadata);

/* Adds the two trailers that carry error->retry_after_ms (server.h, rpc_fail). Adds nothing where that is 0.
 */
void metadata_add_retry(struct metadata *metadata, const struct error *error);
/* Reads such trailers, from our server or another one. 0: they say nothing. */
int metadata_retry_after_ms(const grpc_metadata_array *trailers);

#endif
