#ifndef MILLRACE_COORDINATOR_HTTP_DOOR_H
#define MILLRACE_COORDINATOR_HTTP_DOOR_H

#include "common/rpc/access.h"
#include "common/rpc/server.h"
#include "coordinator/services/services.h"

/*
 * The HTTP door: OpenAI's API, the page, the metrics and the probes (docs/api.md). Behind it lies the same
 * request object as behind gRPC, and the same file of clients.
 *
 * Threads. One of libmicrohttpd, which reads requests and writes answers. One that watches connections
 * (watch.h). What an answer says comes from the threads that cause it (coordinator/scheduler/delivery.h).
 *
 * Bounds. Headers of 16 KiB, a body of 1 MiB, 30 s from the head of a request to the end of its body, 75 s
 * between requests, 4 MiB that wait for a slow reader, and half of the process's descriptors in connections;
 * beyond that the silent connections of the address that has the most are hung up on
 * (common/rpc/connection_guard.h).
 */
struct door;

struct door_options {
    const char *address; /* "127.0.0.1:8080", "[::]:8080", "localhost:0" (any free port) */
    struct coordinator *coordinator;
    struct access *access;            /* NULL: everybody may do everything */
    const struct rpc_server_tls *tls; /* NULL: everything goes in the clear; must outlive the door */
    const char *trusted_proxies;      /* proxies.h; may be NULL */
    const char *allow_origin;         /* whose pages may read answers: an origin, or "*"; NULL: none */
    int max_connections;              /* 0: what the process can afford */
};

/* Listens and serves. INVALID_ARGUMENT: an option is wrong. UNAVAILABLE: the system refuses. The errors of
 * certificates are those of rpc_server_open. */
enum status door_open(const struct door_options *options, struct door **door, struct error *error);

/* With the port that it got: "127.0.0.1:41235". */
const char *door_address(const struct door *door);

/* Reads the certificates again: connections from now on get the new ones. When that fails the old ones stay.
 * Does nothing without TLS. Any thread may call it. */
enum status door_reload_tls(struct door *door, struct error *error);

/* Hangs up on everybody and frees the door. Call it when the scheduler has ended all requests. NULL is
 * allowed. */
void door_close(struct door *door);

#endif
