#include "common/rpc/peer.h"

#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_tls(const grpc_auth_context *context)
{
    grpc_auth_property_iterator found =
        grpc_auth_context_find_properties_by_name(context, GRPC_TRANSPORT_SECURITY_TYPE_PROPERTY_NAME);
    const grpc_auth_property *type = grpc_auth_property_iterator_next(&found);
    return type && type->value_length == strlen(GRPC_SSL_TRANSPORT_SECURITY_TYPE) &&
           !memcmp(type->value, GRPC_SSL_TRANSPORT_SECURITY_TYPE, type->value_length);
}

/* Appends the values of a property. A value with a NUL in it is left out: as a C string it would end there.
 */
static size_t add_names(const grpc_auth_context *context, const char *property_name, char **names, size_t n,
                        size_t most)
{
    grpc_auth_property_iterator found = grpc_auth_context_find_properties_by_name(context, property_name);
    const grpc_auth_property *property;
    while (n < most && (property = grpc_auth_property_iterator_next(&found))) {
        if (property->value_length && !memchr(property->value, 0, property->value_length) &&
            (names[n] = strndup(property->value, property->value_length)))
            n++;
    }
    return n;
}

void peer_read(struct peer *peer, grpc_call *call)
{
    enum { NAMES_MAX = 16 };
    char *address = grpc_call_get_peer(call);
    peer->address = strdup(address ? address : "unknown");
    gpr_free(address);
    grpc_auth_context *context = grpc_call_auth_context(call);
    peer->is_tls = context && is_tls(context);
    peer->names = calloc(NAMES_MAX + 1, sizeof *peer->names);
    if (peer->is_tls && peer->names && grpc_auth_context_peer_is_authenticated(context)) {
        size_t n = add_names(context, GRPC_X509_CN_PROPERTY_NAME, peer->names, 0, NAMES_MAX);
        add_names(context, GRPC_X509_SAN_PROPERTY_NAME, peer->names, n, NAMES_MAX);
    }
    grpc_auth_context_release(context);
}

void peer_release(struct peer *peer)
{
    for (char **name = peer->names; name && *name; name++)
        free(*name);
    free(peer->names);
    free(peer->address);
    *peer = (struct peer){0};
}

/* gRPC writes the brackets of an IPv6 address as in a URI: "ipv6:%5B::1%5D:40112". */
static void decode_brackets(char *host)
{
    char *to = host;
    for (const char *from = host; *from; from++) {
        bool opens = !strncmp(from, "%5B", 3), closes = !strncmp(from, "%5D", 3);
        *to++ = opens ? '[' : closes ? ']' : *from;
        from += opens || closes ? 2 : 0;
    }
    *to = '\0';
}

void peer_host(const char *address, char *host, size_t size)
{
    const char *kind = strchr(address, ':'), *port = strrchr(address, ':');
    if (!kind || !strncmp(address, "unix", 4))
        snprintf(host, size, "%.*s", (int)strcspn(address, ":"), address);
    else
        snprintf(host, size, "%.*s", (int)(port > kind ? port - kind - 1 : (long)strlen(kind + 1)), kind + 1);
    decode_brackets(host);
}
