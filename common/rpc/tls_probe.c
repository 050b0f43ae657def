#include "common/rpc/tls_probe.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/address_socket.h"

enum { WAIT_SECONDS = 2, NAMES_MAX = 256 };

/* A connected socket whose reads and writes end in time; -1: nobody answers. */
static int connect_to(const struct address *address)
{
    const struct timeval patience = {.tv_sec = WAIT_SECONDS};
    struct socket_address resolved;
    if (address_resolve(address, &resolved, NULL) != STATUS_OK)
        return -1;
    int descriptor = address_connect(&resolved, 1000 * WAIT_SECONDS);
    if (descriptor >= 0) {
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    }
    return descriptor;
}

/* ---- the handshake ---- */

static void trust(SSL_CTX *context, const char *authorities)
{
    BIO *source = BIO_new_mem_buf(authorities, -1);
    X509 *certificate;
    while ((certificate = PEM_read_bio_X509(source, NULL, NULL, NULL))) {
        X509_STORE_add_cert(SSL_CTX_get_cert_store(context), certificate);
        X509_free(certificate);
    }
    BIO_free(source);
}

static void show_own(SSL_CTX *context, const struct tls_pem *pem)
{
    BIO *certificates = BIO_new_mem_buf(pem->certificate, -1), *keys = BIO_new_mem_buf(pem->key, -1);
    X509 *certificate = PEM_read_bio_X509(certificates, NULL, NULL, NULL);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(keys, NULL, NULL, NULL);
    if (certificate && key) {
        SSL_CTX_use_certificate(context, certificate);
        SSL_CTX_use_PrivateKey(context, key);
    }
    X509_free(certificate);
    EVP_PKEY_free(key);
    BIO_free(certificates);
    BIO_free(keys);
}

static SSL_CTX *create_context(const struct security *security)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context || !security_is_tls(security))
        return context;                                 /* in the clear: only whether there is TLS at all */
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL); /* verified all the same, and we look at the result */
    if (security->pem.authorities)
        trust(context, security->pem.authorities);
    if (security->pem.certificate)
        show_own(context, &security->pem);
    return context;
}

static SSL *create_connection(SSL_CTX *context, const char *name, int descriptor)
{
    static const unsigned char http2[] = {2, 'h', '2'};
    SSL *ssl = SSL_new(context);
    if (!ssl)
        return NULL;
    SSL_set_fd(ssl, descriptor);
    SSL_set_alpn_protos(ssl, http2, sizeof http2);
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) != 1) {
        SSL_set_tlsext_host_name(ssl, name);
        SSL_set1_host(ssl, name);
    }
    return ssl;
}

/* ---- what it says ---- */

/* "localhost, 127.0.0.1": the names of a certificate, else its common name. */
static void list_names(X509 *certificate, char names[NAMES_MAX])
{
    size_t n = 0;
    GENERAL_NAMES *all = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    *names = '\0';
    for (int i = 0; i < sk_GENERAL_NAME_num(all) && n < NAMES_MAX; i++) {
        int kind;
        ASN1_STRING *value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(all, i), &kind);
        if (kind == GEN_DNS)
            n += (size_t)snprintf(names + n, NAMES_MAX - n, "%s%.*s", n ? ", " : "",
                                  ASN1_STRING_length(value), (const char *)ASN1_STRING_get0_data(value));
    }
    GENERAL_NAMES_free(all);
    if (!*names)
        X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, names, NAMES_MAX);
}

static void say_unverified(SSL *ssl, long result, const char *target, const char *name, struct error *error)
{
    char names[NAMES_MAX] = "";
    X509 *certificate = SSL_get0_peer_certificate(ssl);
    bool other_name = result == X509_V_ERR_HOSTNAME_MISMATCH || result == X509_V_ERR_IP_ADDRESS_MISMATCH;
    if (certificate)
        list_names(certificate, names);
    if (other_name)
        error_set(
            error, STATUS_UNAVAILABLE,
            "the certificate of %s is for %s, not for %s; is it the right server? --tls-server-name tells "
            "another name",
            target, names, name);
    else
        error_set(error, STATUS_UNAVAILABLE, "the certificate of %s (%s) is not accepted: %s", target, names,
                  X509_verify_cert_error_string(result));
}

/* After a handshake that failed. */
static void say_failed(const char *target, struct error *error)
{
    unsigned long code = ERR_peek_error();
    if (ERR_GET_REASON(code) >= SSL_AD_REASON_OFFSET)
        error_set(error, STATUS_UNAVAILABLE, "%s ends the TLS handshake: %s", target,
                  ERR_reason_error_string(code));
    else
        error_set(
            error, STATUS_UNAVAILABLE,
            "what answers at %s does not speak TLS; call it without --tls-ca, or give the server --tls-cert",
            target);
}

/* After a good handshake. With TLS 1.3 the server judges our certificate only then, and answers with an alert
 * or, as gRPC does, by hanging up. A server that accepts it sends its HTTP/2 settings. */
static void say_verdict(SSL *ssl, const struct security *security, const char *target, struct error *error)
{
    char byte;
    errno = 0;
    if (SSL_read(ssl, &byte, 1) > 0 || errno == EAGAIN || errno == EWOULDBLOCK)
        return;
    error_set(
        error, STATUS_UNAVAILABLE, "%s hangs up after the TLS handshake: %s", target,
        security->pem.certificate
            ? "it does not accept the client certificate of --tls-cert; the server's --tls-client-ca must be "
              "the authority that has signed it"
            : "it wants a client certificate; --tls-cert and --tls-key show one");
}

static void shake_hands(SSL *ssl, const struct security *security, const char *target, const char *name,
                        struct error *error)
{
    bool good = SSL_connect(ssl) == 1;
    long verified = SSL_get_verify_result(ssl);
    if (good && !security_is_tls(security))
        error_set(error, STATUS_UNAVAILABLE,
                  "%s wants TLS; name the authority of its certificate: --tls-ca FILE, or --tls-ca system",
                  target);
    else if (good && verified != X509_V_OK)
        say_unverified(ssl, verified, target, name, error);
    else if (good)
        say_verdict(ssl, security, target, error);
    else if (security_is_tls(security))
        say_failed(target, error);
}

/* True: gRPC's sentence is one of those that a failed handshake gives. */
static bool may_be_handshake(const char *text)
{
    static const char *const words[] = {"handshake failed", "Socket closed", "onnection reset", "Broken pipe",
                                        "not in peer certificate"};
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++) {
        if (strstr(text, words[i]))
            return true;
    }
    return false;
}

void tls_probe_explain(const struct security *security, const char *target, const struct address *address,
                       struct error *error)
{
    const char *name = security->options.tls_server_name;
    if (!error || error->status != STATUS_UNAVAILABLE || !may_be_handshake(error->text) ||
        address->kind != ADDRESS_TCP)
        return;
    int descriptor = connect_to(address);
    if (descriptor < 0)
        return;
    name = name ? name : address->host;
    SSL_CTX *context = create_context(security);
    SSL *ssl = context ? create_connection(context, name, descriptor) : NULL;
    ERR_clear_error();
    if (ssl)
        shake_hands(ssl, security, target, name, error);
    ERR_clear_error();
    SSL_free(ssl);
    SSL_CTX_free(context);
    close(descriptor);
}
