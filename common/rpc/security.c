#include "common/rpc/security.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/address.h"
#include "common/rpc/token.h"

static const char system_authorities[] = "/etc/ssl/certs/ca-certificates.crt";

bool security_is_tls(const struct security *security)
{
    return security->options.tls_ca || security->options.tls_cert || security->options.tls_key;
}

static struct tls_paths paths_of(const struct rpc_security *options)
{
    bool of_system = !options->tls_ca || !strcmp(options->tls_ca, "system");
    return (struct tls_paths){options->tls_cert, options->tls_key,
                              of_system ? system_authorities : options->tls_ca};
}

static void take_stamps(const struct security *security, struct file_stamp stamps[SECURITY_FILES])
{
    const struct rpc_security *options = &security->options;
    const char *const files[SECURITY_FILES] = {options->tls_ca, options->tls_cert, options->tls_key,
                                               options->token_file};
    for (int i = 0; i < SECURITY_FILES; i++)
        stamps[i] = files[i] ? file_stamp_of(files[i]) : (struct file_stamp){0};
}

static enum status read_token(const struct security *security, const char *target, char **token,
                              struct error *error)
{
    const struct rpc_security *options = &security->options;
    if (!options->token_file && !options->token)
        return STATUS_OK;
    if (!security_is_tls(security) && !address_is_local(target) && !options->plaintext_token)
        return error_set(error, STATUS_FAILED_PRECONDITION,
                         "a token would go to %s in the clear, for everybody on the way to read; use TLS "
                         "(--tls-ca), or --plaintext-token where the network itself is trusted",
                         target);
    if (options->token_file)
        return token_read(options->token_file, token, error);
    *token = strdup(options->token);
    return *token ? STATUS_OK : error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the token");
}

static enum status read_all(struct security *security, const char *target, struct error *error)
{
    const struct tls_paths paths = paths_of(&security->options);
    struct tls_pem pem = {0};
    char *token = NULL;
    enum status status = security_is_tls(security) ? tls_pem_read(&paths, &pem, error) : STATUS_OK;
    if (status == STATUS_OK)
        status = read_token(security, target, &token, error);
    if (status != STATUS_OK) {
        tls_pem_release(&pem);
        return status;
    }
    tls_pem_release(&security->pem);
    token_free(security->token);
    security->pem = pem;
    security->token = token;
    return STATUS_OK;
}

enum status security_open(struct security *security, const struct rpc_security *options, const char *target,
                          struct error *error)
{
    *security = (struct security){0};
    if (options)
        security->options = *options;
    take_stamps(security, security->stamps); /* before: what changes meanwhile is read again */
    return read_all(security, target, error);
}

void security_release(struct security *security)
{
    tls_pem_release(&security->pem);
    token_free(security->token);
    *security = (struct security){0};
}

bool security_refresh(struct security *security, const char *target)
{
    struct file_stamp now[SECURITY_FILES];
    struct error error;
    bool changed = false;
    take_stamps(security, now);
    for (int i = 0; i < SECURITY_FILES; i++)
        changed |= !file_stamp_equal(&now[i], &security->stamps[i]);
    if (!changed)
        return false;
    memcpy(security->stamps, now, sizeof now);
    if (read_all(security, target, &error) == STATUS_OK)
        return true;
    log_warning("what is used so far stays: %s", error.text);
    return false;
}

grpc_channel_credentials *security_credentials(const struct security *security)
{
    grpc_ssl_pem_key_cert_pair pair = {security->pem.key, security->pem.certificate};
    if (!security_is_tls(security))
        return grpc_insecure_credentials_create();
    return grpc_ssl_credentials_create_ex(security->pem.authorities, pair.cert_chain ? &pair : NULL, NULL,
                                          NULL);
}
