#ifndef MILLRACE_COMMON_RPC_TLS_SERVER_H
#define MILLRACE_COMMON_RPC_TLS_SERVER_H

#include <grpc/grpc_security.h>

#include "common/rpc/server.h"

/*
 * Internal to common/rpc: the certificate that a server shows, and the authorities whose clients it lets in,
 * from files that may be replaced while it runs. gRPC asks for them anew at every handshake; connections that
 * stand keep theirs.
 */
struct tls_server;

enum status tls_server_create(const struct rpc_server_tls *options, struct tls_server **tls,
                              struct error *error);
/* After the server is destroyed. NULL is allowed. */
void tls_server_free(struct tls_server *tls);

/* Released by the caller; refers to `tls`. */
grpc_server_credentials *tls_server_credentials(struct tls_server *tls);

/* Reads the files again; what fails leaves everything as it was. Any thread. */
enum status tls_server_reload(struct tls_server *tls, struct error *error);

#endif
