#ifndef MILLRACE_COMMON_RPC_TLS_PROBE_H
#define MILLRACE_COMMON_RPC_TLS_PROBE_H

#include "common/address.h"
#include "common/rpc/security.h"

/*
 * Internal to common/rpc: finds out why a TLS connection fails. gRPC only says "certificate verify failed" or
 * "Socket closed", whether a certificate has expired, names another host or is missing. So this tries the
 * same handshake with OpenSSL. Where `error` is such an UNAVAILABLE, the reason becomes its sentence; any
 * other error stays as it is. Blocks for at most two seconds each to connect, to shake hands and to listen.
 */
void tls_probe_explain(const struct security *security, const char *target, const struct address *address,
                       struct error *error);

#endif
