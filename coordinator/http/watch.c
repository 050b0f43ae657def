#include "coordinator/http/watch.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"

#define LOOK_SECONDS 1.0
enum { EVENTS_AT_ONCE = 64 };

enum phase { WAITING, READING, ANSWERING };

/* A connection. All of it is guarded by the watch's lock. */
struct visit {
    struct visit *previous, *next;
    int descriptor;
    enum phase phase;
    double since;              /* monotonic seconds: when the phase began */
    struct exchange *exchange; /* of ANSWERING; referenced */
};

/* Who has a descriptor now. An event may be about a connection that has ended since, whose descriptor
 * another one has by now; the turn tells them apart. */
struct holder {
    struct visit *visit;
    uint32_t turn;
};

struct watch {
    struct watch_limits limits;
    int events, wake;
    pthread_t thread;
    pthread_mutex_t lock;
    bool is_closing;
    struct visit *visits;
    int n_visits;
    struct holder *holders; /* [n_holders], by descriptor */
    size_t n_holders;
};

/* ---- events ---- */

/* The exchange that an event is about; referenced. NULL: it is over. */
static struct exchange *exchange_of(struct watch *watch, uint64_t key)
{
    struct exchange *exchange = NULL;
    size_t descriptor = (uint32_t)key;
    pthread_mutex_lock(&watch->lock);
    const struct holder *holder = descriptor < watch->n_holders ? &watch->holders[descriptor] : NULL;
    if (holder && holder->visit && holder->turn == key >> 32 && holder->visit->exchange)
        exchange = exchange_ref(holder->visit->exchange);
    pthread_mutex_unlock(&watch->lock);
    return exchange;
}

static void on_event(struct watch *watch, uint64_t key)
{
    uint64_t count;
    if (key == UINT64_MAX) {
        if (read(watch->wake, &count, sizeof count) < 0)
            log_debug("http: the watch was woken for nothing");
        return;
    }
    struct exchange *exchange = exchange_of(watch, key);
    if (exchange)
        exchange_leave(exchange);
    exchange_unref(exchange);
}

/* ---- time ---- */

static double limit_of(const struct watch *watch, enum phase phase)
{
    return phase == WAITING   ? watch->limits.idle_seconds
           : phase == READING ? watch->limits.read_seconds
                              : (double)INFINITY;
}

/* An exchange whose deadline has passed, referenced; NULL: none. Hangs up on slow clients on the way, and
 * sets the time of the next look. */
static struct exchange *look(struct watch *watch, double now, double *next)
{
    struct exchange *late = NULL;
    pthread_mutex_lock(&watch->lock);
    for (struct visit *visit = watch->visits; visit && !late; visit = visit->next) {
        if (now - visit->since > limit_of(watch, visit->phase)) {
            shutdown(visit->descriptor, SHUT_RDWR);
            visit->since = INFINITY; /* once */
        }
        double due = visit->exchange ? exchange_deadline(visit->exchange) : 0;
        if (due && due <= now)
            late = exchange_ref(visit->exchange);
        *next = due ? fmin(*next, due) : *next;
    }
    pthread_mutex_unlock(&watch->lock);
    return late;
}

/* Returns how long to wait, in milliseconds. */
static int keep_time(struct watch *watch)
{
    double now = clock_seconds(), next = now + LOOK_SECONDS;
    struct exchange *late;
    while ((late = look(watch, now, &next))) {
        exchange_expire(late);
        exchange_unref(late);
        next = now + LOOK_SECONDS;
    }
    return (int)ceil(1e3 * fmax(next - now, 0));
}

static bool is_closing(struct watch *watch)
{
    pthread_mutex_lock(&watch->lock);
    bool closing = watch->is_closing;
    pthread_mutex_unlock(&watch->lock);
    return closing;
}

static void *run(void *argument)
{
    struct watch *watch = argument;
    struct epoll_event events[EVENTS_AT_ONCE];
    while (!is_closing(watch)) {
        int n = epoll_wait(watch->events, events, EVENTS_AT_ONCE, keep_time(watch));
        for (int i = 0; i < n; i++)
            on_event(watch, events[i].data.u64);
    }
    return NULL;
}

/* ---- the watch ---- */

static enum status start(struct watch *watch, struct error *error)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = UINT64_MAX};
    watch->events = epoll_create1(EPOLL_CLOEXEC);
    watch->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (watch->events < 0 || watch->wake < 0 ||
        epoll_ctl(watch->events, EPOLL_CTL_ADD, watch->wake, &event) ||
        pthread_create(&watch->thread, NULL, run, watch))
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "--http: cannot watch connections: %s",
                         strerror(errno));
    return STATUS_OK;
}

static void release(struct watch *watch)
{
    if (watch->events >= 0)
        close(watch->events);
    if (watch->wake >= 0)
        close(watch->wake);
    pthread_mutex_destroy(&watch->lock);
    free(watch->holders);
    free(watch);
}

enum status watch_create(const struct watch_limits *limits, struct watch **created, struct error *error)
{
    struct watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the HTTP server");
    watch->limits.idle_seconds = limits->idle_seconds ? limits->idle_seconds : WATCH_IDLE_SECONDS;
    watch->limits.read_seconds = limits->read_seconds ? limits->read_seconds : WATCH_READ_SECONDS;
    pthread_mutex_init(&watch->lock, NULL);
    enum status status = start(watch, error);
    if (status == STATUS_OK)
        *created = watch;
    else
        release(watch);
    return status;
}

void watch_free(struct watch *watch)
{
    if (!watch)
        return;
    pthread_mutex_lock(&watch->lock);
    watch->is_closing = true;
    pthread_mutex_unlock(&watch->lock);
    watch_poke(watch);
    pthread_join(watch->thread, NULL);
    release(watch);
}

void watch_poke(struct watch *watch)
{
    uint64_t one = 1;
    if (write(watch->wake, &one, sizeof one) < 0)
        log_debug("http: the watch is awake already");
}

int watch_n_visits(struct watch *watch)
{
    pthread_mutex_lock(&watch->lock);
    int n = watch->n_visits;
    pthread_mutex_unlock(&watch->lock);
    return n;
}

/* ---- visits; called with the lock held ---- */

static bool make_holder(struct watch *watch, int descriptor)
{
    size_t wanted = (size_t)descriptor + 1, n = watch->n_holders ? watch->n_holders : 64;
    while (n < wanted)
        n *= 2;
    if (n == watch->n_holders)
        return true;
    struct holder *grown = realloc(watch->holders, n * sizeof *grown);
    if (!grown)
        return false;
    memset(grown + watch->n_holders, 0, (n - watch->n_holders) * sizeof *grown);
    watch->holders = grown;
    watch->n_holders = n;
    return true;
}

static void link_visit(struct watch *watch, struct visit *visit)
{
    struct holder *holder = &watch->holders[visit->descriptor];
    holder->visit = visit;
    holder->turn++;
    visit->next = watch->visits;
    if (visit->next)
        visit->next->previous = visit;
    watch->visits = visit;
    watch->n_visits++;
}

static void unlink_visit(struct watch *watch, struct visit *visit)
{
    struct holder *holder = &watch->holders[visit->descriptor];
    if (holder->visit == visit)
        holder->visit = NULL;
    if (visit->previous)
        visit->previous->next = visit->next;
    else
        watch->visits = visit->next;
    if (visit->next)
        visit->next->previous = visit->previous;
    watch->n_visits--;
}

/* Returns the exchange that the phase before had; the caller lets go of it without the lock. */
static struct exchange *enter(struct visit *visit, enum phase phase, struct exchange *exchange)
{
    struct exchange *before = visit->exchange;
    visit->phase = phase;
    visit->since = clock_seconds();
    visit->exchange = exchange;
    return before;
}

/* ---- what the server's thread says ---- */

struct visit *watch_open(struct watch *watch, int descriptor)
{
    struct visit *visit = calloc(1, sizeof *visit);
    if (!visit)
        return NULL;
    visit->descriptor = descriptor;
    pthread_mutex_lock(&watch->lock);
    bool made = make_holder(watch, descriptor);
    if (made) {
        enter(visit, WAITING, NULL);
        link_visit(watch, visit);
    }
    pthread_mutex_unlock(&watch->lock);
    if (made)
        return visit;
    free(visit);
    return NULL;
}

void watch_reading(struct watch *watch, struct visit *visit)
{
    pthread_mutex_lock(&watch->lock);
    struct exchange *before = enter(visit, READING, NULL);
    pthread_mutex_unlock(&watch->lock);
    exchange_unref(before);
}

void watch_answering(struct watch *watch, struct visit *visit, struct exchange *exchange)
{
    pthread_mutex_lock(&watch->lock);
    struct exchange *before = enter(visit, ANSWERING, exchange_ref(exchange));
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLONESHOT,
                                .data.u64 = (uint64_t)watch->holders[visit->descriptor].turn << 32 |
                                            (uint32_t)visit->descriptor};
    if (epoll_ctl(watch->events, EPOLL_CTL_ADD, visit->descriptor, &event) && errno == EEXIST)
        epoll_ctl(watch->events, EPOLL_CTL_MOD, visit->descriptor, &event);
    pthread_mutex_unlock(&watch->lock);
    exchange_unref(before);
}

void watch_answered(struct watch *watch, struct visit *visit)
{
    pthread_mutex_lock(&watch->lock);
    struct exchange *before = enter(visit, WAITING, NULL);
    if (before)
        epoll_ctl(watch->events, EPOLL_CTL_DEL, visit->descriptor, NULL);
    pthread_mutex_unlock(&watch->lock);
    exchange_unref(before);
}

void watch_close(struct watch *watch, struct visit *visit)
{
    if (!visit)
        return;
    watch_answered(watch, visit);
    pthread_mutex_lock(&watch->lock);
    unlink_visit(watch, visit);
    pthread_mutex_unlock(&watch->lock);
    free(visit);
}
