#include "coordinator/monitoring/listener.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "common/address_socket.h"

enum { BACKLOG = 128 };

static void name_of(int descriptor, char *bound, size_t size)
{
    struct sockaddr_storage own;
    socklen_t own_size = sizeof own;
    char host[NI_MAXHOST] = "?", port[NI_MAXSERV] = "?";
    if (!getsockname(descriptor, (struct sockaddr *)&own, &own_size))
        getnameinfo((struct sockaddr *)&own, own_size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf(bound, size, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

static enum status read_address(const char *text, struct address *address, struct error *error)
{
    enum status status = address_parse(text, ADDRESS_TO_LISTEN, address, error);
    if (status == STATUS_OK && address->kind != ADDRESS_TCP)
        status = error_set(error, STATUS_INVALID_ARGUMENT,
                           "HTTP needs a port; write HOST:PORT, as 127.0.0.1:9464, not \"%.100s\"", text);
    return status;
}

enum status listener_open(const char *option, const char *text, int *descriptor, char *bound, size_t size,
                          struct error *error)
{
    struct address address;
    struct socket_address resolved;
    int reason = 0;
    enum status status = read_address(text, &address, error);
    if (status == STATUS_OK)
        status = address_resolve(&address, &resolved, error);
    if (status != STATUS_OK)
        return error_prefix(error, "%s", option);
    int opened = address_listen(&resolved, BACKLOG, &reason);
    if (opened < 0)
        return error_set(error, STATUS_UNAVAILABLE, "%s: cannot listen on %.100s: %s", option, text,
                         strerror(reason));
    name_of(opened, bound, size);
    *descriptor = opened;
    return STATUS_OK;
}
