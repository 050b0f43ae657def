#ifndef MILLRACE_COMMON_RPC_TLS_SERVER_H
#define MILLRACE_COMMON_RPC_TLS_SERVER_H

#include <grpc/grpc_security.h>

#include "common/rpc/server.h"

/*
 * Internal to common/rpc: the certificate that a server shows, and the authorities whose clients it lets in.
 * Their files may be replaced while the server runs. gRPC asks for them at every handshake; a connection
 * keeps those that it began with.
 */
struct tls_server;

enum status tls_server_create(const struct rpc_server_tls *options, struct tls_server **tls,
                              struct error *error);
/* After the server is destroyed. NULL is allowed. */
void tls_server_free(struct tls_server *tls);

/* Released by the caller; refers to `tls`. Credentials that were made before get the next certificate only
 * when the files are read again. */
grpc_server_credentials *tls_server_credentials(struct tls_server *tls);

/* Reads the files again. When that fails nothing changes. Any thread may call it. */
enum status tls_server_reload(struct tls_server *tls, struct error *error);

#endif
