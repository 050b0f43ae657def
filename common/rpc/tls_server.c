#include "common/rpc/tls_server.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/rpc/tls_files.h"

struct tls_server {
    struct tls_paths paths; /* the options' own strings */
    bool client_optional;
    pthread_mutex_t mutex;
    struct tls_pem pem;
    bool fetched; /* gRPC has this pem already */
};

static void log_certificate(const struct tls_server *tls)
{
    char text[192];
    tls_pem_describe(tls->pem.certificate, text, sizeof text);
    log_info("TLS with the certificate %s%s", text,
             !tls->paths.authorities ? ""
             : tls->client_optional  ? "; clients may show one"
                                     : "; clients must show one");
}

enum status tls_server_create(const struct rpc_server_tls *options, struct tls_server **created,
                              struct error *error)
{
    struct tls_server *tls = calloc(1, sizeof *tls);
    if (!tls)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for certificates");
    pthread_mutex_init(&tls->mutex, NULL);
    tls->paths = (struct tls_paths){options->cert, options->key, options->client_ca};
    tls->client_optional = options->client_optional;
    enum status status = tls_pem_read(&tls->paths, &tls->pem, error);
    if (status == STATUS_OK && !tls->pem.certificate)
        status = error_set(error, STATUS_INVALID_ARGUMENT,
                           "TLS needs a certificate of the server: --tls-cert and --tls-key");
    if (status != STATUS_OK) {
        tls_server_free(tls);
        return status;
    }
    log_certificate(tls);
    *created = tls;
    return STATUS_OK;
}

void tls_server_free(struct tls_server *tls)
{
    if (!tls)
        return;
    tls_pem_release(&tls->pem);
    pthread_mutex_destroy(&tls->mutex);
    free(tls);
}

/* gRPC calls this at each handshake. It wants authorities for clients even where clients show no certificate
 * (an assertion in Debian's build). The server's own certificate then stands in, and nothing is checked
 * against it. */
static grpc_ssl_certificate_config_reload_status fetch(void *argument,
                                                       grpc_ssl_server_certificate_config **config)
{
    struct tls_server *tls = argument;
    grpc_ssl_certificate_config_reload_status result = GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    pthread_mutex_lock(&tls->mutex);
    if (!tls->fetched) {
        const grpc_ssl_pem_key_cert_pair pair = {tls->pem.key, tls->pem.certificate};
        const char *authorities = tls->pem.authorities ? tls->pem.authorities : tls->pem.certificate;
        *config = grpc_ssl_server_certificate_config_create(authorities, &pair, 1);
        result = GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
        tls->fetched = true;
    }
    pthread_mutex_unlock(&tls->mutex);
    return result;
}

grpc_server_credentials *tls_server_credentials(struct tls_server *tls)
{
    pthread_mutex_lock(&tls->mutex);
    tls->fetched = false; /* by these credentials */
    pthread_mutex_unlock(&tls->mutex);
    grpc_ssl_client_certificate_request_type request =
        !tls->paths.authorities ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
        : tls->client_optional  ? GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY
                                : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY;
    return grpc_ssl_server_credentials_create_with_options(
        grpc_ssl_server_credentials_create_options_using_config_fetcher(request, fetch, tls));
}

enum status tls_server_reload(struct tls_server *tls, struct error *error)
{
    struct tls_pem pem, old;
    enum status status = tls_pem_read(&tls->paths, &pem, error);
    if (status != STATUS_OK)
        return status;
    pthread_mutex_lock(&tls->mutex);
    old = tls->pem;
    tls->pem = pem;
    tls->fetched = false;
    pthread_mutex_unlock(&tls->mutex);
    tls_pem_release(&old);
    log_certificate(tls);
    return STATUS_OK;
}
