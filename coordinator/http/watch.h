#ifndef MILLRACE_COORDINATOR_HTTP_WATCH_H
#define MILLRACE_COORDINATOR_HTTP_WATCH_H

#include "common/status.h"
#include "coordinator/http/exchange.h"

/*
 * Watches the connections of the HTTP door from a thread of its own.
 *
 * Why. libmicrohttpd does not look at a connection that is suspended, and an exchange is suspended for most
 * of its life. And its timeout counts silence only, so a client that sends a byte now and then would hold a
 * connection for ever.
 *
 * What it does.
 *   waiting    no request has begun: hangs up after WATCH_IDLE_SECONDS
 *   reading    the request line is there, the body is not whole: hangs up after WATCH_READ_SECONDS
 *   answering  tells the exchange as soon as its client closes the connection, or half of it (epoll,
 *              EPOLLRDHUP), and when its deadline has passed
 *
 *   (none) → waiting [watch_open] → reading [watch_reading] → answering [watch_answering]
 *                                 → waiting [watch_answered] → ... → (none) [watch_close]
 *
 * Hanging up is shutdown: the descriptor stays libmicrohttpd's, which closes it. All functions but
 * watch_create and watch_free are the server's thread's.
 */
enum { WATCH_IDLE_SECONDS = 75, WATCH_READ_SECONDS = 30 };

struct watch;
struct visit; /* a connection */

struct watch_limits {
    double idle_seconds, read_seconds; /* 0: the constants above */
};

enum status watch_create(const struct watch_limits *limits, struct watch **watch, struct error *error);
/* When no visit is left. NULL is allowed. */
void watch_free(struct watch *watch);

/* NULL: no memory. */
struct visit *watch_open(struct watch *watch, int descriptor);
void watch_close(struct watch *watch, struct visit *visit); /* NULL is allowed */

void watch_reading(struct watch *watch, struct visit *visit);
void watch_answering(struct watch *watch, struct visit *visit, struct exchange *exchange);
void watch_answered(struct watch *watch, struct visit *visit);

/* Has the thread look for deadlines anew. From any thread. */
void watch_poke(struct watch *watch);

/* How many connections there are. From any thread. */
int watch_n_visits(struct watch *watch);

#endif
