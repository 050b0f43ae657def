#ifndef MILLRACE_COORDINATOR_HTTP_EXCHANGE_H
#define MILLRACE_COORDINATOR_HTTP_EXCHANGE_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/rpc/caller.h"
#include "common/status.h"
#include "common/trace.h"

/*
 * One HTTP request and its answer.
 *
 * Threads. The server's thread reads the request and hands it to its route's handler. From then on any thread
 * that holds a reference may answer: at once with exchange_answer, or piece by piece with exchange_begin,
 * exchange_send and exchange_end. While there is nothing to write, the server's thread has the connection
 * suspended; an answer resumes it. None of these functions blocks on the client.
 *
 * Life.   new → [its route is found, its body is read] → handled → answered → over
 *
 * An exchange is over when its answer is written, or when its connection has ended. A client that leaves
 * before is noticed at once (watch.h): then `leave` of the exchange's work is called, once, from any thread.
 *
 * Bound. More than EXCHANGE_MOST_QUEUED bytes that the client does not take end the exchange.
 */
enum { EXCHANGE_MOST_QUEUED = 4 << 20, EXCHANGE_HEADERS_MAX = 4 };

struct door;
struct route;
struct visit;
struct exchange;

/* What an exchange does after its handler has returned. The exchange owns it. */
struct exchange_work {
    /* Nobody waits for the answer any more: the client is gone, or its deadline has passed. */
    void (*leave)(struct exchange_work *work);
    void (*free)(struct exchange_work *work);
};

struct exchange_header {
    const char *name; /* a constant */
    char value[128];
};

/* Bytes that grow. */
struct bytes {
    char *at;
    size_t size, capacity;
};

struct exchange {
    struct door *door;
    struct exchange *previous, *next; /* in the door's list */
    atomic_int n_references;

    /* Set before the handler is called, and constant from then on. */
    const struct route *route;
    struct visit *visit;
    struct rpc_caller caller;
    struct trace trace;
    double began_at; /* monotonic seconds */
    char *path;      /* without the query */
    char method[12];
    struct bytes body; /* with a terminator behind it */
    size_t n_dropped;  /* bytes of a body that is too large */
    bool is_handled;   /* the server's thread alone */

    pthread_mutex_t lock;              /* guards what follows */
    struct MHD_Connection *connection; /* NULL: it has ended */
    bool is_suspended;
    bool is_answered; /* the code is known, and the headers */
    bool is_stream;
    bool is_complete; /* nothing will be added to `answer` */
    bool is_cut;      /* the client was too slow, or the answer ended in the middle */
    bool has_left;
    bool is_late;       /* the deadline has passed */
    double deadline_at; /* monotonic seconds; 0: none */
    unsigned code;
    const char *content_type;
    struct exchange_header headers[EXCHANGE_HEADERS_MAX];
    int n_headers;
    struct bytes answer;
    size_t n_written; /* bytes of the answer that the server has taken */
    struct exchange_work *work;
};

/* A new exchange with one reference. NULL: no memory. */
struct exchange *exchange_create(struct door *door, struct MHD_Connection *connection);
struct exchange *exchange_ref(struct exchange *exchange);
void exchange_unref(struct exchange *exchange); /* NULL is allowed */

/* Appends to the request's body. False: no memory. */
bool exchange_receive(struct exchange *exchange, const char *bytes, size_t size);

/* Gives the exchange its work, before anything can end. False: the client has left already; the work is then
 * told so by nobody else. */
bool exchange_set_work(struct exchange *exchange, struct exchange_work *work);
/* Ends the exchange's work when this time has come (monotonic seconds; 0: none), or a second later. */
void exchange_set_deadline(struct exchange *exchange, double deadline_at);
double exchange_deadline(struct exchange *exchange);

/* A header of the answer, before it is given. `name` is a constant; the value is cut to its place. */
void exchange_set_header(struct exchange *exchange, const char *name, const char *value);

/* Gives the whole answer. It takes `body` over, which malloc made. Only the first answer counts. What was
 * sent before it (exchange_send without exchange_begin) is dropped. */
void exchange_answer(struct exchange *exchange, unsigned code, const char *content_type, char *body,
                     size_t size);
/* Begins an answer of code 200 that comes in pieces. */
void exchange_begin(struct exchange *exchange, const char *content_type);
/* Appends a piece; it may come before exchange_begin. RESOURCE_EXHAUSTED: the client does not take what is
 * there, or there is no memory; then the exchange is cut. CANCELLED: it is over. */
enum status exchange_send(struct exchange *exchange, const char *bytes, size_t size);
void exchange_end(struct exchange *exchange);

/* Hangs up. */
void exchange_cut(struct exchange *exchange);
/* The client is gone. Tells the work, once. */
void exchange_leave(struct exchange *exchange);
/* The deadline has passed: as exchange_leave, but an answer is still awaited. */
void exchange_expire(struct exchange *exchange);
bool exchange_is_late(struct exchange *exchange);
bool exchange_has_left(struct exchange *exchange);

/* ---- for the server's thread ---- */

/* The answer as libmicrohttpd wants it, or NULL: there is none yet, and the connection was suspended. */
enum exchange_state { EXCHANGE_WAITS, EXCHANGE_READY, EXCHANGE_BROKEN };
enum exchange_state exchange_take_answer(struct exchange *exchange, struct MHD_Response **response);
/* The connection has ended, or the answer is written. */
void exchange_over(struct exchange *exchange);

#endif
