#include "common/rpc/connections.h"

#include <dirent.h>
#include <linux/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static int port_of(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)address)->sin_port);
    if (address->ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)address)->sin6_port);
    return -1;
}

static struct peer_key key_of(const struct sockaddr_storage *address)
{
    struct peer_key key;
    memset(&key, 0, sizeof key);
    key.port = (uint16_t)port_of(address);
    if (address->ss_family == AF_INET6) {
        key.host = ((const struct sockaddr_in6 *)address)->sin6_addr;
        return key;
    }
    key.host.s6_addr[10] = key.host.s6_addr[11] = 0xff;
    memcpy(&key.host.s6_addr[12], &((const struct sockaddr_in *)address)->sin_addr, 4);
    return key;
}

static bool has_port(int descriptor, int port)
{
    struct sockaddr_storage local;
    socklen_t size = sizeof local;
    return !getsockname(descriptor, (struct sockaddr *)&local, &size) && port_of(&local) == port;
}

static bool get_peer(int descriptor, struct peer_key *peer)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    if (getpeername(descriptor, (struct sockaddr *)&address, &size))
        return false;
    *peer = key_of(&address);
    return true;
}

static bool listens(int descriptor)
{
    int value = 0;
    socklen_t size = sizeof value;
    return !getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &value, &size) && value;
}

static bool append(struct connection_list *list, const struct connection *connection)
{
    if (list->n == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 256;
        struct connection *more = realloc(list->items, capacity * sizeof *more);
        if (!more)
            return false;
        list->items = more;
        list->capacity = capacity;
    }
    list->items[list->n++] = *connection;
    return true;
}

/* Of a listener the system counts the connections that wait to be accepted as "unacked". */
static bool examine(struct connection_list *list, int descriptor, int port)
{
    struct connection connection = {.descriptor = descriptor};
    struct tcp_info info;
    socklen_t size = sizeof info;
    if (!has_port(descriptor, port))
        return true;
    memset(&info, 0, sizeof info);
    getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &size);
    if (get_peer(descriptor, &connection.peer)) {
        connection.silent_ms = info.tcpi_last_data_recv;
        connection.received_bytes = info.tcpi_bytes_received;
        connection.sent_bytes = info.tcpi_bytes_acked;
        return append(list, &connection);
    }
    if (listens(descriptor)) {
        list->listener = descriptor;
        list->n_queued = info.tcpi_unacked;
    }
    return true;
}

size_t connections_count_descriptors(void)
{
    size_t n = 0;
    DIR *directory = opendir("/proc/self/fd");
    while (directory && readdir(directory))
        n++;
    if (directory)
        closedir(directory);
    return n;
}

void connections_find(struct connection_list *list, int port)
{
    const struct dirent *entry;
    DIR *directory = opendir("/proc/self/fd");
    list->n = 0;
    list->listener = -1;
    list->n_queued = 0;
    while (directory && (entry = readdir(directory))) {
        if (*entry->d_name != '.' && !examine(list, atoi(entry->d_name), port))
            break;
    }
    if (directory)
        closedir(directory);
}

void connections_release(struct connection_list *list)
{
    free(list->items);
    *list = (struct connection_list){0};
}

bool connection_hang_up(const struct connection *connection, int port)
{
    struct peer_key now;
    return has_port(connection->descriptor, port) && get_peer(connection->descriptor, &now) &&
           peer_key_equal(&now, &connection->peer) && !shutdown(connection->descriptor, SHUT_RDWR);
}

size_t connection_unread_bytes(const struct connection *connection)
{
    int n = 0;
    return !ioctl(connection->descriptor, FIONREAD, &n) && n > 0 ? (size_t)n : 0;
}
