#include "coordinator/monitoring/listener.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 128 };

/* Cuts "[::1]:9464" into "::1" and "9464". */
static enum status split(const char *option, const char *address, char *host, size_t size, const char **port,
                         struct error *error)
{
    const char *colon = strrchr(address, ':');
    size_t length = colon ? (size_t)(colon - address) : 0;
    if (length > 2 && address[0] == '[' && address[length - 1] == ']') {
        address++;
        length -= 2;
    }
    if (!colon || !colon[1] || !length || length >= size)
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "%s: \"%.100s\" is no address; write HOST:PORT, as 127.0.0.1:9464", option, address);
    memcpy(host, address, length);
    host[length] = '\0';
    *port = colon + 1;
    return STATUS_OK;
}

static int listen_on(const struct addrinfo *where)
{
    int yes = 1;
    int descriptor =
        socket(where->ai_family, where->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, where->ai_protocol);
    if (descriptor < 0)
        return -1;
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(descriptor, where->ai_addr, where->ai_addrlen) || listen(descriptor, BACKLOG)) {
        int why = errno;
        close(descriptor);
        errno = why;
        return -1;
    }
    return descriptor;
}

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

enum status listener_open(const char *option, const char *address, int *descriptor, char *bound, size_t size,
                          struct error *error)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found;
    char host[256];
    const char *port;
    enum status status = split(option, address, host, sizeof host, &port, error);
    if (status != STATUS_OK)
        return status;
    int failed = getaddrinfo(host, port, &hints, &found);
    if (failed)
        return error_set(error, STATUS_INVALID_ARGUMENT, "%s: \"%.100s\": %s", option, address,
                         gai_strerror(failed));
    int opened = listen_on(found);
    freeaddrinfo(found);
    if (opened < 0)
        return error_set(error, STATUS_UNAVAILABLE, "%s: cannot listen on %.100s: %s", option, address,
                         strerror(errno));
    name_of(opened, bound, size);
    *descriptor = opened;
    return STATUS_OK;
}
