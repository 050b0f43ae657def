#ifndef MILLRACE_COORDINATOR_MONITORING_HTTP_H
#define MILLRACE_COORDINATOR_MONITORING_HTTP_H

#include <stddef.h>

#include "common/status.h"
#include "coordinator/monitoring/exposition.h"

/*
 * Pages for machines that watch us: GET (or HEAD) of a few fixed paths, answered over HTTP/1.1 by a thread of
 * its own. Nothing is read from the query and no body is accepted.
 *
 *     unknown path 404 · other method 405 · headers above 8 KiB 431
 *
 * Clients cannot hold it up: no call blocks on one, a connection carries one request, is closed after 10
 * seconds of silence, and at the limit of open connections the oldest makes room for a new one.
 */
struct http_server;

/* Fills `page`; returns the HTTP status. Runs on the server's thread; may take a lock, but not wait for long.
 */
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

/* Binds and serves. INVALID_ARGUMENT for an address that is none, UNAVAILABLE with the system's reason. */
enum status http_server_open(const struct http_options *options, struct http_server **server,
                             struct error *error);

/* Where it listens, with the port it got: "127.0.0.1:41235". */
const char *http_server_address(const struct http_server *server);

/* Cuts what is open and joins the thread. NULL is allowed. */
void http_server_close(struct http_server *server);

#endif
