#ifndef MILLRACE_COMMON_RPC_SECURITY_H
#define MILLRACE_COMMON_RPC_SECURITY_H

#include <grpc/grpc_security.h>
#include <stdbool.h>

#include "common/file_stamp.h"
#include "common/rpc/client.h"
#include "common/rpc/tls_files.h"

/* Internal to common/rpc: struct rpc_security at work on one channel. */
enum { SECURITY_FILES = 4 };

struct security {
    struct rpc_security options;
    struct file_stamp stamps[SECURITY_FILES];
    struct tls_pem pem;
    char *token; /* NULL: none */
};

/* Reads everything. `options` may be NULL: in the clear. FAILED_PRECONDITION: a token would go in the clear
 * to another machine. */
enum status security_open(struct security *security, const struct rpc_security *options, const char *target,
                          struct error *error);
void security_release(struct security *security);

/* Reads all files again when one has changed, and returns true. When that fails the old ones stay in use, and
 * a warning says why. */
bool security_refresh(struct security *security, const char *target);

bool security_is_tls(const struct security *security);
/* Released by the caller. */
grpc_channel_credentials *security_credentials(const struct security *security);

#endif
