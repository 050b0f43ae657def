#ifndef MILLRACE_COORDINATOR_HTTP_CERTIFICATE_H
#define MILLRACE_COORDINATOR_HTTP_CERTIFICATE_H

#include <microhttpd.h>

/*
 * The names in the certificate that a client has shown: the common name, then the alternative names (DNS,
 * URI, IP, e-mail), as common/rpc/server.h (rpc_call_tls_name) has them for gRPC. GnuTLS, which is below
 * libmicrohttpd, checks the certificate against the authorities that the server was started with.
 */
enum { CERTIFICATE_NAMES_MAX = 32 };

struct certificate_names {
    char *
        names[CERTIFICATE_NAMES_MAX + 1]; /* ends with NULL; none: no certificate, or one that is not valid */
};

void certificate_names_read(struct certificate_names *names, struct MHD_Connection *connection);
void certificate_names_release(struct certificate_names *names);

#endif
