#ifndef MILLRACE_COORDINATOR_MONITORING_HTTP_H
#define MILLRACE_COORDINATOR_MONITORING_HTTP_H

#include <stddef.h>

#include "common/status.h"
#include "coordinator/monitoring/exposition.h"

/*
 * Pages for programs that watch us. The server answers GET and HEAD of a few fixed paths over HTTP/1.1, on a
 * thread of its own. It reads nothing from the query, and accepts no body.
 *
 *     unknown path 404 · other method 405 · headers above 8 KiB 431
 *
 * Clients cannot stop the server from answering others: no call blocks on a client. A connection carries one
 * request, and is closed after 10 seconds of silence. At the limit of open connections, a new one replaces
 * the oldest.
 */
struct http_server;

/* A page. `write` fills it and returns the HTTP status. It runs on the server's thread: it may take a lock,
 * but must not wait for long. */
struct http_page {
    const char *path; /* "/metrics" */
    const char *content_type;
    unsigned (*write)(void *context, struct exposition *page);
};

struct http_options {
    const char *address;           /* "127.0.0.1:9464", "[::]:9464", "localhost:0" (any free port) */
    const struct http_page *pages; /* ends with .path = NULL; must outlive the server */
    void *context;
    int max_connections; /* 0: 64 */
};

/* Listens and serves. INVALID_ARGUMENT: the address is malformed. UNAVAILABLE: the system refuses, for the
 * reason in `error`. */
enum status http_server_open(const struct http_options *options, struct http_server **server,
                             struct error *error);

/* Where the server listens, with the port that it got: "127.0.0.1:41235". */
const char *http_server_address(const struct http_server *server);

/* Closes all connections and joins the thread. NULL is allowed. */
void http_server_close(struct http_server *server);

#endif
