#include "coordinator/http/certificate.h"

#include <arpa/inet.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 256 };

static void add(struct certificate_names *names, const char *name, size_t size)
{
    int n = 0;
    while (names->names[n])
        n++;
    if (n < CERTIFICATE_NAMES_MAX && size && !memchr(name, '\0', size))
        names->names[n] = strndup(name, size);
}

static void add_common_name(struct certificate_names *names, gnutls_x509_crt_t certificate)
{
    char name[NAME_MAX_BYTES];
    size_t size = sizeof name;
    if (!gnutls_x509_crt_get_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &size))
        add(names, name, size);
}

/* An IP address is bytes in a certificate. */
static void add_ip(struct certificate_names *names, const char *bytes, size_t size)
{
    char text[INET6_ADDRSTRLEN];
    int family = size == 4 ? AF_INET : AF_INET6;
    if ((size == 4 || size == 16) && inet_ntop(family, bytes, text, sizeof text))
        add(names, text, strlen(text));
}

static void add_alternative_names(struct certificate_names *names, gnutls_x509_crt_t certificate)
{
    static const unsigned order[] = {GNUTLS_SAN_DNSNAME, GNUTLS_SAN_URI, GNUTLS_SAN_IPADDRESS,
                                     GNUTLS_SAN_RFC822NAME};
    for (size_t kind = 0; kind < sizeof order / sizeof *order; kind++) {
        for (unsigned i = 0; i < CERTIFICATE_NAMES_MAX; i++) {
            char name[NAME_MAX_BYTES];
            size_t size = sizeof name;
            unsigned found;
            int result = gnutls_x509_crt_get_subject_alt_name2(certificate, i, name, &size, &found, NULL);
            if (result == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
                break;
            if (result < 0 || found != order[kind])
                continue;
            if (found == GNUTLS_SAN_IPADDRESS)
                add_ip(names, name, size);
            else
                add(names, name, size);
        }
    }
}

void certificate_names_read(struct certificate_names *names, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    gnutls_session_t session = info ? (gnutls_session_t)info->tls_session : NULL;
    unsigned wrong = 0, n = 0;
    gnutls_x509_crt_t certificate;
    *names = (struct certificate_names){0};
    if (!session || gnutls_certificate_verify_peers2(session, &wrong) || wrong)
        return;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &n);
    if (!chain || !n || gnutls_x509_crt_init(&certificate))
        return;
    if (!gnutls_x509_crt_import(certificate, &chain[0], GNUTLS_X509_FMT_DER)) {
        add_common_name(names, certificate);
        add_alternative_names(names, certificate);
    }
    gnutls_x509_crt_deinit(certificate);
}

void certificate_names_release(struct certificate_names *names)
{
    for (int i = 0; names->names[i]; i++)
        free(names->names[i]);
    *names = (struct certificate_names){0};
}
