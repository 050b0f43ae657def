#ifndef MILLRACE_COMMON_ADDRESS_SOCKET_H
#define MILLRACE_COMMON_ADDRESS_SOCKET_H

#include <sys/socket.h>

#include "common/address.h"

/* An address as the system takes it. */
struct socket_address {
    struct sockaddr_storage bytes;
    socklen_t size;
};

/* Looks the host up; of several addresses the first. May wait for a name server. UNAVAILABLE with the
 * system's reason. */
enum status address_resolve(const struct address *address, struct socket_address *resolved,
                            struct error *error);

/* A socket that listens, closed on exec and never waiting; -1 with errno's value in *reason. */
int address_listen(const struct socket_address *resolved, int backlog, int *reason);

/* A connected socket, closed on exec, whose reads and writes wait; -1 where nobody answers within so many
 * milliseconds. */
int address_connect(const struct socket_address *resolved, int timeout_ms);

#endif
