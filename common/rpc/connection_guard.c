/*
 * A connection that is gone before it is hung up on counts as room that was made. Else a flood of connections
 * that ends by itself would cost the others theirs.
 */
#include "common/rpc/connection_guard.h"

#include <arpa/inet.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/rpc/flood_watch.h"
#include "common/rpc/listen_watch.h"

#define LOOK_SECONDS 0.05         /* at the number of descriptors */
#define FLOOD_LOOK_SECONDS 0.1    /* at what connections send, and at those that wait */
#define SECONDS_A_CONNECTION 1e-4 /* but so that the looks cost a part of a core that does not grow */
#define LOG_PAUSE_SECONDS 1.0
enum { AFFORDABLE_MAX = 16384 };

/* A connection, and its place among those of its host. */
struct turn {
    const struct connection *connection;
    int n_of_host;
};

struct connection_guard {
    struct connection_guard_options options;
    struct flood_watch *floods;
    struct listen_watch listening;
    bool is_dead; /* nobody listens, and we could not listen again */
    pthread_t thread;
    pthread_mutex_t mutex; /* guards stopping */
    pthread_cond_t stopped;
    bool stopping;
    struct connection_list found;
    double flood_look_at;
    size_t n_unlogged, n_floods_unlogged; /* hung up on since the last line about it */
    double logged_at, floods_logged_at;
};

int connection_guard_affordable(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur > 2 * AFFORDABLE_MAX)
        return AFFORDABLE_MAX;
    return (int)(limit.rlim_cur / 2);
}

/* ---- too many ---- */

static int by_host(const void *left, const void *right)
{
    const struct connection *a = ((const struct turn *)left)->connection,
                            *b = ((const struct turn *)right)->connection;
    int order = memcmp(&a->peer.host, &b->peer.host, sizeof a->peer.host);
    return order ? order : a->silent_ms < b->silent_ms ? -1 : a->silent_ms > b->silent_ms;
}

/* Hosts with many connections come first, and within a host those that have been silent for long. Hanging up
 * on one leaves its host with fewer, so a connection counts by its place in its host's list. */
static int by_turn(const void *left, const void *right)
{
    const struct turn *a = left, *b = right;
    unsigned a_ms = a->connection->silent_ms, b_ms = b->connection->silent_ms;
    return a->n_of_host != b->n_of_host ? b->n_of_host - a->n_of_host : (a_ms < b_ms) - (a_ms > b_ms);
}

/* malloc'ed; NULL: no memory. */
static struct turn *put_in_turn(const struct connection_list *list)
{
    struct turn *turns = calloc(list->n + 1, sizeof *turns);
    if (!turns)
        return NULL;
    for (size_t i = 0; i < list->n; i++)
        turns[i].connection = &list->items[i];
    qsort(turns, list->n, sizeof *turns, by_host);
    for (size_t i = 0; i < list->n; i++) {
        bool same = i > 0 && !memcmp(&turns[i].connection->peer.host, &turns[i - 1].connection->peer.host,
                                     sizeof(struct in6_addr));
        turns[i].n_of_host = same ? turns[i - 1].n_of_host + 1 : 1;
    }
    qsort(turns, list->n, sizeof *turns, by_turn);
    return turns;
}

/* At most once a second: a flood of connections must not fill the disk. */
static bool may_log(size_t n_unlogged, double *logged_at)
{
    double now = clock_seconds();
    if (!n_unlogged || (*logged_at && now - *logged_at < LOG_PAUSE_SECONDS))
        return false;
    *logged_at = now;
    return true;
}

static void hang_up_on_some(struct connection_guard *guard)
{
    size_t surplus = guard->found.n - (size_t)guard->options.most / 10 * 9;
    struct turn *turns = put_in_turn(&guard->found);
    for (size_t i = 0; turns && i < surplus; i++)
        guard->n_unlogged += connection_hang_up(turns[i].connection, guard->options.port);
    free(turns);
    if (!may_log(guard->n_unlogged, &guard->logged_at))
        return;
    log_warning("more than %d connections: hung up on %zu: the silent ones of the addresses with the most",
                guard->options.most, guard->n_unlogged);
    guard->n_unlogged = 0;
}

/* ---- floods ---- */

static void hang_up_on_flood(void *context, const struct connection *connection, const char *why)
{
    struct connection_guard *guard = context;
    guard->n_floods_unlogged += connection_hang_up(connection, guard->options.port);
    if (!may_log(guard->n_floods_unlogged, &guard->floods_logged_at))
        return;
    log_warning("hung up on %zu connections, the last from port %d: %s", guard->n_floods_unlogged,
                connection->peer.port, why);
    guard->n_floods_unlogged = 0;
}

static void look_for_floods(struct connection_guard *guard, double now)
{
    double pause = fmax(FLOOD_LOOK_SECONDS, SECONDS_A_CONNECTION * (double)guard->found.n);
    flood_watch_look(guard->floods, &guard->found, now, hang_up_on_flood, guard);
    guard->flood_look_at = now + pause;
}

/* ---- the listener ---- */

static const char *write_host(const struct in6_addr *host, char text[INET6_ADDRSTRLEN])
{
    bool version4 = IN6_IS_ADDR_V4MAPPED(host);
    const void *bytes = version4 ? &host->s6_addr[12] : host->s6_addr;
    return inet_ntop(version4 ? AF_INET : AF_INET6, bytes, text, INET6_ADDRSTRLEN) ? text : "an address";
}

static void look_at_listener(struct connection_guard *guard, double now)
{
    char host[INET6_ADDRSTRLEN];
    struct listen_news news = listen_watch_look(&guard->listening, &guard->found, now);
    if (news.left_out)
        log_warning("%u connections wait to be let in: %s, which opens the most, is left out for a while",
                    guard->found.n_queued, write_host(news.left_out, host));
    if ((news.is_dead || guard->is_dead) && guard->options.listen_again)
        guard->is_dead = !guard->options.listen_again(guard->options.context);
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
        double now = clock_seconds();
        bool floods = guard->floods && now >= guard->flood_look_at;
        if (!floods && connections_count_descriptors() <= (size_t)guard->options.most)
            continue;
        connections_find(&guard->found, guard->options.port);
        if (guard->found.n > (size_t)guard->options.most)
            hang_up_on_some(guard);
        if (!floods)
            continue;
        look_for_floods(guard, now);
        look_at_listener(guard, now);
    }
    return NULL;
}

static void guard_free(struct connection_guard *guard)
{
    pthread_cond_destroy(&guard->stopped);
    pthread_mutex_destroy(&guard->mutex);
    connections_release(&guard->found);
    flood_watch_free(guard->floods);
    free(guard);
}

enum status connection_guard_start(const struct connection_guard_options *options,
                                   struct connection_guard **started, struct error *error)
{
    struct connection_guard *guard = calloc(1, sizeof *guard);
    if (!guard)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory to count connections");
    guard->options = *options;
    pthread_mutex_init(&guard->mutex, NULL);
    clock_condition_init(&guard->stopped);
    if (options->traffic)
        guard->floods = flood_watch_create(options->traffic, options->max_message_bytes);
    if ((options->traffic && !guard->floods) || pthread_create(&guard->thread, NULL, look, guard)) {
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
