#include "common/address_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

/* An abstract name stands behind a NUL, and its length is part of it. */
static void resolve_unix(const struct address *address, struct socket_address *resolved)
{
    struct sockaddr_un *to = (struct sockaddr_un *)&resolved->bytes;
    bool is_abstract = address->kind == ADDRESS_UNIX_ABSTRACT;
    size_t size = strlen(address->host);
    memset(resolved, 0, sizeof *resolved);
    to->sun_family = AF_UNIX;
    memcpy(to->sun_path + is_abstract, address->host, size);
    resolved->size =
        is_abstract ? (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + size) : (socklen_t)sizeof *to;
}

enum status address_resolve(const struct address *address, struct socket_address *resolved,
                            struct error *error)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    if (address->kind != ADDRESS_TCP) {
        resolve_unix(address, resolved);
        return STATUS_OK;
    }
    int failed = getaddrinfo(address->host, address->port, &hints, &found);
    if (failed || !found)
        return error_set(error, STATUS_UNAVAILABLE, "%s: %s", address->host, gai_strerror(failed));
    memset(resolved, 0, sizeof *resolved);
    memcpy(&resolved->bytes, found->ai_addr, found->ai_addrlen);
    resolved->size = found->ai_addrlen;
    freeaddrinfo(found);
    return STATUS_OK;
}

static int open_socket(const struct socket_address *resolved)
{
    return socket(resolved->bytes.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

int address_listen(const struct socket_address *resolved, int backlog, int *reason)
{
    int yes = 1, descriptor = open_socket(resolved);
    if (descriptor >= 0) {
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
        if (!bind(descriptor, (const struct sockaddr *)&resolved->bytes, resolved->size) &&
            !listen(descriptor, backlog))
            return descriptor;
    }
    *reason = errno;
    if (descriptor >= 0)
        close(descriptor);
    return -1;
}

static bool is_connected(int descriptor, int timeout_ms)
{
    struct pollfd writable = {.fd = descriptor, .events = POLLOUT};
    int reason = 0;
    socklen_t size = sizeof reason;
    return poll(&writable, 1, timeout_ms) == 1 &&
           !getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &reason, &size) && reason == 0;
}

int address_connect(const struct socket_address *resolved, int timeout_ms)
{
    int descriptor = open_socket(resolved);
    if (descriptor < 0)
        return -1;
    bool begun = !connect(descriptor, (const struct sockaddr *)&resolved->bytes, resolved->size) ||
                 errno == EINPROGRESS;
    if (begun && is_connected(descriptor, timeout_ms)) {
        fcntl(descriptor, F_SETFL, 0);
        return descriptor;
    }
    close(descriptor);
    return -1;
}
