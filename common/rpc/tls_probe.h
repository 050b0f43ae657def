#ifndef MILLRACE_COMMON_RPC_TLS_PROBE_H
#define MILLRACE_COMMON_RPC_TLS_PROBE_H

#include "common/address.h"
#include "common/rpc/security.h"

/*
 * Internal to common/rpc: why no connection comes about. gRPC says "certificate verify failed" or "Socket
 * closed" where a certificate has expired, names another host or is missing; so the same handshake is tried
 * by hand, with OpenSSL. Puts what it finds into the sentence of an UNAVAILABLE that looks like one of those;
 * leaves any other alone. Blocks for two seconds at most for each of connecting, shaking hands and listening.
 */
void tls_probe_explain(const struct security *security, const char *target, const struct address *address,
                       struct error *error);

#endif
