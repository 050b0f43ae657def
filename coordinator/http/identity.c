#include "coordinator/http/identity.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "coordinator/http/certificate.h"

/* All headers of one name, joined with commas. */
struct joined {
    const char *name;
    char text[1024];
    size_t size;
    int n;
};

static enum MHD_Result join(void *context, enum MHD_ValueKind kind, const char *key, const char *value)
{
    struct joined *joined = context;
    (void)kind;
    if (strcasecmp(key, joined->name) != 0 || !value)
        return MHD_YES;
    int written = snprintf(joined->text + joined->size, sizeof joined->text - joined->size, "%s%s",
                           joined->n ? "," : "", value);
    joined->n++;
    joined->size += (size_t)written;
    if (joined->size >= sizeof joined->text)
        joined->size = sizeof joined->text - 1;
    return MHD_YES;
}

static void join_headers(struct MHD_Connection *connection, struct joined *joined)
{
    MHD_get_connection_values(connection, MHD_HEADER_KIND, join, joined);
}

/* A header that is too long for us is not believed in any part. */
static bool is_whole(const struct joined *joined)
{
    return joined->size < sizeof joined->text - 1;
}

static void name_by_address(const struct identity *identity, struct MHD_Connection *connection,
                            struct rpc_caller *caller)
{
    struct joined forwarded = {.name = "X-Forwarded-For"};
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    *caller = (struct rpc_caller){.name = "?", .scopes = RPC_SCOPES_ALL};
    if (!info || !info->client_addr)
        return;
    join_headers(connection, &forwarded);
    proxies_client(&identity->proxies, info->client_addr,
                   forwarded.n && is_whole(&forwarded) ? forwarded.text : NULL, caller->name,
                   sizeof caller->name);
}

static const char *tls_name(const void *connection, int index)
{
    const struct certificate_names *names = connection;
    return index < CERTIFICATE_NAMES_MAX ? names->names[index] : NULL;
}

static enum status admit(const struct identity *identity, struct MHD_Connection *connection, const char *path,
                         struct rpc_caller *caller, struct error *error)
{
    struct joined authorization = {.name = MHD_HTTP_HEADER_AUTHORIZATION};
    struct certificate_names names;
    char peer[RPC_CALLER_NAME_MAX];
    snprintf(peer, sizeof peer, "%s", caller->name);
    join_headers(connection, &authorization);
    certificate_names_read(&names, connection);
    const struct access_shown shown = {authorization.n ? authorization.text : NULL, authorization.n, tls_name,
                                       &names, peer};
    enum status status = STATUS_OK;
    if (identity->needs_certificate && !names.names[0])
        status = error_set(error, STATUS_UNAUTHENTICATED, "a client certificate is needed");
    if (status == STATUS_OK)
        status = access_admit(identity->access, &shown, path, caller, error);
    certificate_names_release(&names);
    return status;
}

enum status identity_find(const struct identity *identity, struct MHD_Connection *connection,
                          const char *path, unsigned scopes, struct rpc_caller *caller, struct error *error)
{
    name_by_address(identity, connection, caller);
    if (!identity->access || scopes & RPC_SCOPE_ANYBODY)
        return STATUS_OK;
    enum status status = admit(identity, connection, path, caller, error);
    return status == STATUS_OK ? access_check_scope(caller, scopes, path, error) : status;
}
