/*
 * The connections are those of the process's descriptors whose local port is ours. Hanging up means shutdown
 * and not close, because the descriptor stays gRPC's. Between the look and the shutdown gRPC may have closed
 * a connection and opened another under the same number, so its peer is compared once more just before. A
 * connection that is gone by then counts as room that was made; else a flood that ends by itself would cost
 * the others their connections.
 */
#include "common/rpc/connection_guard.h"

#include <dirent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "common/log.h"

#define LOOK_SECONDS 0.05
#define LOG_PAUSE_SECONDS 1.0
enum { AFFORDABLE_MAX = 16384 };

struct connection {
    int descriptor;
    struct in6_addr host; /* the peer's; an IPv4 address mapped */
    int port;             /* the peer's */
    unsigned silent_ms;
    int n_of_host; /* connections of the same host */
};

struct connection_guard {
    int port, most;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards stopping */
    pthread_cond_t stopped;
    bool stopping;
    struct connection *found; /* [capacity] */
    size_t n_found, capacity;
    size_t n_unlogged; /* hung up on since the last line about it */
    double logged_at;
};

int connection_guard_affordable(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur > 2 * AFFORDABLE_MAX)
        return AFFORDABLE_MAX;
    return (int)(limit.rlim_cur / 2);
}

/* ---- looking ---- */

static int port_of(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)address)->sin_port);
    if (address->ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)address)->sin6_port);
    return -1;
}

static bool is_ours(const struct connection_guard *guard, int descriptor)
{
    struct sockaddr_storage local;
    socklen_t size = sizeof local;
    return !getsockname(descriptor, (struct sockaddr *)&local, &size) && port_of(&local) == guard->port;
}

static struct in6_addr host_of(const struct sockaddr_storage *address)
{
    struct in6_addr host = {0};
    if (address->ss_family == AF_INET6)
        return ((const struct sockaddr_in6 *)address)->sin6_addr;
    host.s6_addr[10] = host.s6_addr[11] = 0xff;
    memcpy(&host.s6_addr[12], &((const struct sockaddr_in *)address)->sin_addr, 4);
    return host;
}

/* False: no connection of the port (its listener has no peer). */
static bool examine(const struct connection_guard *guard, int descriptor, struct connection *connection)
{
    struct sockaddr_storage peer;
    struct tcp_info info;
    socklen_t size = sizeof peer, info_size = sizeof info;
    if (!is_ours(guard, descriptor) || getpeername(descriptor, (struct sockaddr *)&peer, &size))
        return false;
    bool known = !getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &info_size);
    *connection = (struct connection){
        .descriptor = descriptor,
        .host = host_of(&peer),
        .port = port_of(&peer),
        .silent_ms = known ? info.tcpi_last_data_recv : 0,
    };
    return true;
}

/* True: the descriptor still belongs to this connection. */
static bool is_still(const struct connection_guard *guard, const struct connection *connection)
{
    struct connection now;
    return examine(guard, connection->descriptor, &now) && now.port == connection->port &&
           !memcmp(&now.host, &connection->host, sizeof now.host);
}

static bool append(struct connection_guard *guard, const struct connection *connection)
{
    if (guard->n_found == guard->capacity) {
        size_t capacity = guard->capacity ? 2 * guard->capacity : 256;
        struct connection *more = realloc(guard->found, capacity * sizeof *more);
        if (!more)
            return false;
        guard->found = more;
        guard->capacity = capacity;
    }
    guard->found[guard->n_found++] = *connection;
    return true;
}

/* The number of open descriptors. It is cheap to find, and never less than the number of connections. */
static size_t count_descriptors(void)
{
    size_t n = 0;
    DIR *directory = opendir("/proc/self/fd");
    while (directory && readdir(directory))
        n++;
    if (directory)
        closedir(directory);
    return n;
}

static void find_connections(struct connection_guard *guard)
{
    struct connection connection;
    const struct dirent *entry;
    DIR *directory = opendir("/proc/self/fd");
    guard->n_found = 0;
    while (directory && (entry = readdir(directory))) {
        if (*entry->d_name != '.' && examine(guard, atoi(entry->d_name), &connection) &&
            !append(guard, &connection))
            break;
    }
    if (directory)
        closedir(directory);
}

/* ---- choosing ---- */

static int by_host(const void *left, const void *right)
{
    const struct connection *a = left, *b = right;
    int order = memcmp(&a->host, &b->host, sizeof a->host);
    return order ? order : a->silent_ms < b->silent_ms ? -1 : a->silent_ms > b->silent_ms;
}

/* Hosts with many connections come first, and within a host those that have been silent for long. Hanging up
 * on one leaves its host with fewer, so a connection counts by its place in its host's list. */
static int by_turn(const void *left, const void *right)
{
    const struct connection *a = left, *b = right;
    return a->n_of_host != b->n_of_host ? b->n_of_host - a->n_of_host
                                        : (a->silent_ms < b->silent_ms) - (a->silent_ms > b->silent_ms);
}

static void put_in_turn(struct connection_guard *guard)
{
    struct connection *found = guard->found;
    qsort(found, guard->n_found, sizeof *found, by_host);
    for (size_t i = 0; i < guard->n_found; i++) {
        bool same = i > 0 && !memcmp(&found[i].host, &found[i - 1].host, sizeof found[i].host);
        found[i].n_of_host = same ? found[i - 1].n_of_host + 1 : 1;
    }
    qsort(found, guard->n_found, sizeof *found, by_turn);
}

/* At most once a second: a flood of connections must not fill the disk. */
static void log_hung_up(struct connection_guard *guard, size_t n)
{
    double now = clock_seconds();
    guard->n_unlogged += n;
    if (!guard->n_unlogged || (guard->logged_at && now - guard->logged_at < LOG_PAUSE_SECONDS))
        return;
    log_warning("more than %d connections: hung up on %zu: the silent ones of the addresses with the most",
                guard->most, guard->n_unlogged);
    guard->n_unlogged = 0;
    guard->logged_at = now;
}

static void hang_up_on_some(struct connection_guard *guard)
{
    size_t surplus = guard->n_found - (size_t)guard->most / 10 * 9, n_closed = 0;
    put_in_turn(guard);
    for (size_t i = 0; i < surplus; i++) {
        const struct connection *connection = &guard->found[i];
        if (is_still(guard, connection) && !shutdown(connection->descriptor, SHUT_RDWR))
            n_closed++;
    }
    log_hung_up(guard, n_closed);
}

/* ---- the thread ---- */

static bool wait_a_while(struct connection_guard *guard)
{
    struct timespec until = clock_after(LOOK_SECONDS);
    bool in_time = true;
    pthread_mutex_lock(&guard->mutex);
    while (!guard->stopping && in_time)
        in_time = clock_wait_until(&guard->stopped, &guard->mutex, &until);
    bool go_on = !guard->stopping;
    pthread_mutex_unlock(&guard->mutex);
    return go_on;
}

static void *look(void *argument)
{
    struct connection_guard *guard = argument;
    while (wait_a_while(guard)) {
        if (count_descriptors() <= (size_t)guard->most)
            continue;
        find_connections(guard);
        if (guard->n_found > (size_t)guard->most)
            hang_up_on_some(guard);
    }
    return NULL;
}

static void guard_free(struct connection_guard *guard)
{
    pthread_cond_destroy(&guard->stopped);
    pthread_mutex_destroy(&guard->mutex);
    free(guard->found);
    free(guard);
}

enum status connection_guard_start(int port, int most, struct connection_guard **started, struct error *error)
{
    struct connection_guard *guard = calloc(1, sizeof *guard);
    if (!guard)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory to count connections");
    guard->port = port;
    guard->most = most;
    pthread_mutex_init(&guard->mutex, NULL);
    clock_condition_init(&guard->stopped);
    if (pthread_create(&guard->thread, NULL, look, guard)) {
        guard_free(guard);
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "cannot start a thread to count connections");
    }
    *started = guard;
    return STATUS_OK;
}

void connection_guard_stop(struct connection_guard *guard)
{
    if (!guard)
        return;
    pthread_mutex_lock(&guard->mutex);
    guard->stopping = true;
    pthread_cond_signal(&guard->stopped);
    pthread_mutex_unlock(&guard->mutex);
    pthread_join(guard->thread, NULL);
    guard_free(guard);
}
