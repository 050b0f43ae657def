#ifndef MILLRACE_COMMON_ADDRESS_SOCKET_H
#define MILLRACE_COMMON_ADDRESS_SOCKET_H

#include <sys/socket.h>

#include "common/address.h"

/* An address as the system takes it. */
struct socket_address {
    struct sockaddr_storage bytes;
    socklen_t size;
};

/* Looks the host up and takes the first address found. May wait for a name server. UNAVAILABLE gives the
 * system's reason. */
enum status address_resolve(const struct address *address, struct socket_address *resolved,
                            struct error *error);

/* Opens a socket that listens. It is non-blocking and closed on exec. -1: it cannot; *reason gets errno's
 * value. */
int address_listen(const struct socket_address *resolved, int backlog, int *reason);

/* Opens a connected socket. It blocks in reads and writes and is closed on exec. -1: nobody answers in time.
 */
int address_connect(const struct socket_address *resolved, int timeout_ms);

#endif
