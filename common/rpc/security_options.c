#include "common/rpc/security_options.h"

#include <stdlib.h>

static const char *none_if_empty(const char *text)
{
    return text && *text ? text : NULL;
}

void security_options_complete(struct rpc_security *security)
{
    security->tls_ca = none_if_empty(security->tls_ca);
    security->tls_cert = none_if_empty(security->tls_cert);
    security->tls_key = none_if_empty(security->tls_key);
    security->tls_server_name = none_if_empty(security->tls_server_name);
    security->token_file = none_if_empty(security->token_file);
    security->token = security->token_file ? NULL : none_if_empty(getenv("MILLRACE_TOKEN"));
}
