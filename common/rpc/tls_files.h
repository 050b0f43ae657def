#ifndef MILLRACE_COMMON_RPC_TLS_FILES_H
#define MILLRACE_COMMON_RPC_TLS_FILES_H

#include <stddef.h>

#include "common/status.h"

/*
 * Internal to common/rpc: reads and checks PEM files of certificates, keys and authorities, because gRPC does
 * not say what is wrong with them. These are the files:
 */
struct tls_paths {
    const char *certificate, *key; /* both or neither */
    const char *authorities;
};

/* The same as text; NULL: not given. */
struct tls_pem {
    char *certificate, *key, *authorities;
};

/*
 * NOT_FOUND, PERMISSION_DENIED: a file that cannot be opened. FAILED_PRECONDITION names the file and what is
 * wrong: no PEM certificate or key in it, a key with a pass phrase, a key of another certificate, a
 * certificate that has expired or is not valid yet.
 */
enum status tls_pem_read(const struct tls_paths *paths, struct tls_pem *pem, struct error *error);
/* Overwrites the key first. */
void tls_pem_release(struct tls_pem *pem);

/* "CN=x, valid until 2027-03-01" of the first certificate in a PEM text. */
void tls_pem_describe(const char *certificate, char *text, size_t size);

#endif
