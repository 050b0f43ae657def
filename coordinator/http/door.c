#include "coordinator/http/door.h"

#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/rpc/connection_guard.h"
#include "common/rpc/tls_files.h"
#include "coordinator/http/answer_headers.h"
#include "coordinator/http/identity.h"
#include "coordinator/http/problem.h"
#include "coordinator/http/routes.h"
#include "coordinator/http/watch.h"
#include "coordinator/monitoring/listener.h"

enum {
    BODY_BYTES = 1 << 20,
    DROPPED_BYTES = 4 << 20,     /* of a body that is too large, before the connection is closed */
    CONNECTION_BYTES = 20 << 10, /* memory of a connection: the headers of a request, and a block to write */
    SILENCE_SECONDS = 30,        /* of a client that should take or send something */
    OLD_DAEMONS = 8,
    SYSTEM_BYTES = 256 << 10, /* that the system may hold for a slow reader */
    CLOSE_SECONDS = 1,        /* for answers that are being written */
};

/*
 * libmicrohttpd knows certificates at its start only. With new ones a second daemon takes over the listening
 * socket; the old one serves the connections that it has, and ends with them.
 */
struct door {
    struct coordinator *coordinator;
    struct identity identity;
    struct answer_headers headers;
    const struct rpc_server_tls *tls;
    int descriptor, max_connections;
    char address[128];
    struct watch *watch;
    struct connection_guard *guard;

    pthread_mutex_t lock; /* guards the daemons and the exchanges */
    struct MHD_Daemon *daemon;
    struct MHD_Daemon *old[OLD_DAEMONS];
    struct exchange *exchanges;
    pthread_cond_t emptied; /* no exchange is left */
    bool is_closing;
};

/* ---- the list of exchanges ---- */

static void link_exchange(struct door *door, struct exchange *exchange)
{
    pthread_mutex_lock(&door->lock);
    exchange->next = door->exchanges;
    if (exchange->next)
        exchange->next->previous = exchange;
    door->exchanges = exchange;
    pthread_mutex_unlock(&door->lock);
}

static void unlink_exchange(struct door *door, struct exchange *exchange)
{
    pthread_mutex_lock(&door->lock);
    if (exchange->previous)
        exchange->previous->next = exchange->next;
    else
        door->exchanges = exchange->next;
    if (exchange->next)
        exchange->next->previous = exchange->previous;
    if (!door->exchanges)
        pthread_cond_signal(&door->emptied);
    pthread_mutex_unlock(&door->lock);
}

static bool is_closing(struct door *door)
{
    pthread_mutex_lock(&door->lock);
    bool closing = door->is_closing;
    pthread_mutex_unlock(&door->lock);
    return closing;
}

/* ---- connections ---- */

static void on_connection(void *context, struct MHD_Connection *connection, void **slot,
                          enum MHD_ConnectionNotificationCode code)
{
    struct door *door = context;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        watch_close(door->watch, *slot);
        atomic_fetch_sub(&door->coordinator->http.connections, 1);
        return;
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    *slot = info ? watch_open(door->watch, info->connect_fd) : NULL;
    atomic_fetch_add(&door->coordinator->http.connections, 1);
}

static struct visit *visit_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

/* The request line is there. What this returns becomes the state of the request. */
static void *on_request_line(void *context, const char *uri, struct MHD_Connection *connection)
{
    struct door *door = context;
    struct visit *visit = visit_of(connection);
    struct exchange *exchange = visit ? exchange_create(door, connection) : NULL;
    (void)uri;
    if (!exchange)
        return NULL;
    exchange->visit = visit;
    watch_reading(door->watch, visit);
    link_exchange(door, exchange);
    return exchange;
}

static void count_answer(const struct door *door, const struct exchange *exchange,
                         enum MHD_RequestTerminationCode code)
{
    struct http_counts *counts = &door->coordinator->http;
    enum http_subject subject = exchange->route ? exchange->route->subject : HTTP_OTHER;
    bool is_whole = code == MHD_REQUEST_TERMINATED_COMPLETED_OK;
    if (!is_whole)
        atomic_fetch_add(exchange->is_cut ? &counts->cut : &counts->left, 1);
    http_counts_answer(counts, subject, is_whole ? exchange->code : 499,
                       clock_seconds() - exchange->began_at);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **slot,
                         enum MHD_RequestTerminationCode code)
{
    struct door *door = context;
    struct exchange *exchange = *slot;
    (void)connection;
    if (!exchange)
        return;
    *slot = NULL;
    unlink_exchange(door, exchange);
    watch_answered(door->watch, exchange->visit);
    exchange_over(exchange);
    count_answer(door, exchange, code);
    exchange_unref(exchange);
}

/* ---- a request ---- */

/* Answers OPTIONS, which browsers send before a request of another origin's page. */
static void answer_options(struct door *door, struct exchange *exchange, const char *methods)
{
    struct error error;
    if (door->headers.allow_origin) {
        exchange_answer(exchange, MHD_HTTP_NO_CONTENT, "text/plain", NULL, 0);
        return;
    }
    error_set(&error, STATUS_UNIMPLEMENTED,
              "OPTIONS is not answered here: pages of other origins have no "
              "access (--http-allow-origin)");
    exchange_set_header(exchange, MHD_HTTP_HEADER_ALLOW, methods);
    problem_answer(exchange, &error,
                   &(struct problem){MHD_HTTP_METHOD_NOT_ALLOWED, NULL, "method_not_allowed"});
}

static void refuse_route(struct door *door, struct exchange *exchange, const char *methods)
{
    struct error error;
    if (!*methods) {
        error_set(&error, STATUS_NOT_FOUND, "Unknown request URL: %.10s %.200s", exchange->method,
                  exchange->path);
        problem_answer(exchange, &error, &(struct problem){MHD_HTTP_NOT_FOUND, NULL, "unknown_url"});
    } else if (!strcmp(exchange->method, MHD_HTTP_METHOD_OPTIONS)) {
        answer_options(door, exchange, methods);
    } else {
        error_set(&error, STATUS_UNIMPLEMENTED, "%.10s is not allowed here; %s is", exchange->method,
                  methods);
        exchange_set_header(exchange, MHD_HTTP_HEADER_ALLOW, methods);
        problem_answer(exchange, &error,
                       &(struct problem){MHD_HTTP_METHOD_NOT_ALLOWED, NULL, "method_not_allowed"});
    }
}

static bool is_json(struct MHD_Connection *connection)
{
    const char *type = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_TYPE);
    static const char wanted[] = "application/json";
    size_t size = sizeof wanted - 1;
    return type && !strncasecmp(type, wanted, size) && (!type[size] || strchr("; \t", type[size]));
}

static uint64_t length_of(struct MHD_Connection *connection)
{
    const char *length =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    return length ? strtoull(length, NULL, 10) : 0;
}

/* A refusal waits for the body: a client that still sends when the connection is closed may lose the answer.
 * Not for a client that asks before it sends, nor for a body that is far too large. */
static bool is_answered_at_once(struct MHD_Connection *connection)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_EXPECT) ||
           length_of(connection) > DROPPED_BYTES;
}

static enum status check_body(struct MHD_Connection *connection, struct problem *problem, struct error *error)
{
    const char *encoding =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_ENCODING);
    if (!is_json(connection)) {
        problem->http_code = MHD_HTTP_UNSUPPORTED_MEDIA_TYPE;
        return error_set(error, STATUS_INVALID_ARGUMENT, "Content-Type must be application/json");
    }
    if (encoding && strcasecmp(encoding, "identity") != 0) {
        problem->http_code = MHD_HTTP_UNSUPPORTED_MEDIA_TYPE;
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "Content-Encoding must be identity: compressed "
                         "bodies are not taken");
    }
    if (length_of(connection) > DROPPED_BYTES) {
        problem->http_code = MHD_HTTP_CONTENT_TOO_LARGE;
        return error_set(error, STATUS_INVALID_ARGUMENT, "the body is larger than %d bytes", BODY_BYTES);
    }
    return STATUS_OK;
}

static void take_trace(struct MHD_Connection *connection, struct exchange *exchange)
{
    char header[TRACE_HEADER_SIZE];
    trace_begin(&exchange->trace, MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "traceparent"));
    trace_header(&exchange->trace, header);
    exchange_set_header(exchange, "traceparent", header);
}

/* The headers are there. What can be refused by them is answered at once. */
static void begin(struct door *door, struct MHD_Connection *connection, struct exchange *exchange,
                  const char *path, const char *method)
{
    char methods[64];
    struct error error;
    struct problem problem = {0};
    snprintf(exchange->method, sizeof exchange->method, "%s", method);
    exchange->path = strdup(path);
    exchange->route = routes_find(method, path, methods, sizeof methods);
    take_trace(connection, exchange);
    if (!exchange->route) {
        refuse_route(door, exchange, methods);
        return;
    }
    enum status status = identity_find(&door->identity, connection, exchange->route->path,
                                       exchange->route->scopes, &exchange->caller, &error);
    if (status != STATUS_OK && exchange->route->subject == HTTP_COMPLETIONS)
        metrics_count_unauthorised(door->coordinator->metrics);
    if (status == STATUS_OK && !strcmp(exchange->route->method, MHD_HTTP_METHOD_POST))
        status = check_body(connection, &problem, &error);
    if (status == STATUS_OK && is_closing(door))
        status = error_set(&error, STATUS_UNAVAILABLE, "this coordinator is leaving; try again");
    if (status != STATUS_OK)
        problem_answer(exchange, &error, &problem);
}

/* Takes a piece of the body. What is above the limit is dropped, so that the client can hear of it; one that
 * sends on and on is hung up on. */
static enum MHD_Result receive(struct exchange *exchange, const char *upload, size_t *size)
{
    size_t piece = *size;
    *size = 0;
    if (!exchange->n_dropped && !exchange->is_answered && exchange->body.size + piece <= BODY_BYTES)
        return exchange_receive(exchange, upload, piece) ? MHD_YES : MHD_NO;
    exchange->n_dropped += piece;
    return exchange->n_dropped <= DROPPED_BYTES ? MHD_YES : MHD_NO;
}

static void handle(struct door *door, struct exchange *exchange)
{
    struct error error;
    exchange->is_handled = true;
    watch_answering(door->watch, exchange->visit, exchange);
    if (exchange->is_answered)
        return;
    if (exchange->n_dropped) {
        error_set(&error, STATUS_INVALID_ARGUMENT, "the body is larger than %d bytes", BODY_BYTES);
        problem_answer(exchange, &error, &(struct problem){MHD_HTTP_CONTENT_TOO_LARGE, NULL, NULL});
        return;
    }
    exchange->route->handle(exchange, door->coordinator);
    if (exchange_deadline(exchange))
        watch_poke(door->watch);
}

static enum MHD_Result write_answer(struct door *door, struct MHD_Connection *connection,
                                    struct exchange *exchange)
{
    struct MHD_Response *response;
    enum exchange_state state = exchange_take_answer(exchange, &response);
    if (state != EXCHANGE_READY)
        return state == EXCHANGE_WAITS ? MHD_YES : MHD_NO;
    const char *origin = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_ORIGIN);
    answer_headers_add(&door->headers, origin, response);
    enum MHD_Result queued = MHD_queue_response(connection, exchange->code, response);
    MHD_destroy_response(response);
    return queued;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **slot)
{
    struct door *door = context;
    struct exchange *exchange = *slot;
    (void)version;
    if (!exchange)
        return MHD_NO; /* there was no memory */
    if (!exchange->path) {
        begin(door, connection, exchange, path, method);
        if (!exchange->path)
            return MHD_NO;
        return exchange->is_answered && is_answered_at_once(connection)
                   ? write_answer(door, connection, exchange)
                   : MHD_YES;
    }
    if (*upload_size)
        return receive(exchange, upload, upload_size);
    if (!exchange->is_handled)
        handle(door, exchange);
    return write_answer(door, connection, exchange);
}

/* ---- the server ---- */

static void on_log(void *context, const char *format, va_list arguments)
{
    char text[256];
    (void)context;
    vsnprintf(text, sizeof text, format, arguments);
    text[strcspn(text, "\r\n")] = '\0';
    log_debug("http: %s", text);
}

static struct MHD_Daemon *start_daemon(struct door *door, const struct tls_pem *pem)
{
    struct MHD_OptionItem tls[] = {{MHD_OPTION_HTTPS_MEM_CERT, 0, pem ? pem->certificate : NULL},
                                   {MHD_OPTION_HTTPS_MEM_KEY, 0, pem ? pem->key : NULL},
                                   {MHD_OPTION_HTTPS_MEM_TRUST, 0, pem ? pem->authorities : NULL},
                                   {MHD_OPTION_END, 0, NULL}};
    if (pem && !pem->authorities)
        tls[2].option = MHD_OPTION_END;
    if (!pem)
        tls[0].option = MHD_OPTION_END;
    return MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG |
            (pem ? MHD_USE_TLS : 0),
        0, NULL, NULL, on_request, door, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_LISTEN_SOCKET,
        door->descriptor, MHD_OPTION_CONNECTION_LIMIT, (unsigned)door->max_connections * 2,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SILENCE_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_BYTES, MHD_OPTION_CONNECTION_MEMORY_INCREMENT, (size_t)2048,
        MHD_OPTION_URI_LOG_CALLBACK, on_request_line, door, MHD_OPTION_NOTIFY_COMPLETED, on_completed, door,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, door, MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
}

static enum status start(struct door *door, struct MHD_Daemon **daemon, struct error *error)
{
    struct tls_pem pem = {0};
    enum status status = STATUS_OK;
    if (door->tls)
        status = tls_pem_read(&(struct tls_paths){door->tls->cert, door->tls->key, door->tls->client_ca},
                              &pem, error);
    if (status == STATUS_OK && !(*daemon = start_daemon(door, door->tls ? &pem : NULL)))
        status = error_set(error, STATUS_UNAVAILABLE, "--http: cannot start the server's thread");
    tls_pem_release(&pem);
    return status;
}

static enum status guard_connections(struct door *door, struct error *error)
{
    const struct connection_guard_options options = {.port = atoi(strrchr(door->address, ':') + 1),
                                                     .most = door->max_connections};
    return connection_guard_start(&options, &door->guard, error);
}

static enum status open_parts(struct door *door, const struct door_options *options, struct error *error)
{
    enum status status = proxies_parse(options->trusted_proxies, &door->identity.proxies, error);
    if (status == STATUS_OK)
        status = answer_headers_init(&door->headers, options->allow_origin, error);
    if (status == STATUS_OK)
        status = watch_create(&(struct watch_limits){0}, &door->watch, error);
    if (status == STATUS_OK)
        status = listener_open("--http", options->address, &door->descriptor, door->address,
                               sizeof door->address, error);
    if (status == STATUS_OK)
        setsockopt(door->descriptor, SOL_SOCKET, SO_SNDBUF, &(int){SYSTEM_BYTES},
                   sizeof(int)); /* inherited */
    if (status == STATUS_OK)
        status = guard_connections(door, error);
    if (status == STATUS_OK)
        status = start(door, &door->daemon, error);
    return status;
}

enum status door_open(const struct door_options *options, struct door **opened, struct error *error)
{
    struct door *door = calloc(1, sizeof *door);
    if (!door)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the HTTP server");
    door->coordinator = options->coordinator;
    door->tls = options->tls;
    door->descriptor = -1;
    door->identity.access = options->access;
    door->identity.needs_certificate =
        options->tls && options->tls->client_ca && !options->tls->client_optional;
    door->max_connections =
        options->max_connections ? options->max_connections : connection_guard_affordable();
    pthread_mutex_init(&door->lock, NULL);
    pthread_cond_init(&door->emptied, NULL);
    enum status status = open_parts(door, options, error);
    if (status == STATUS_OK)
        *opened = door;
    else
        door_close(door);
    return status;
}

const char *door_address(const struct door *door)
{
    return door->address;
}

/* ---- new certificates ---- */

static unsigned connections_of(struct MHD_Daemon *daemon)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
    return info ? info->num_connections : 0;
}

/* Ends old daemons that have no connection left, and finds a place for one more; NULL: there is none. */
static struct MHD_Daemon **find_place(struct door *door)
{
    struct MHD_Daemon **place = NULL;
    for (int i = 0; i < OLD_DAEMONS; i++) {
        if (door->old[i] && !connections_of(door->old[i])) {
            MHD_stop_daemon(door->old[i]);
            door->old[i] = NULL;
        }
        if (!door->old[i])
            place = &door->old[i];
    }
    return place;
}

enum status door_reload_tls(struct door *door, struct error *error)
{
    struct MHD_Daemon *fresh, **place;
    if (!door->tls)
        return STATUS_OK;
    place = find_place(door);
    if (!place)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED,
                         "--http: connections of %d older certificates are still open", OLD_DAEMONS);
    enum status status = start(door, &fresh, error);
    if (status != STATUS_OK)
        return status;
    MHD_quiesce_daemon(door->daemon);
    *place = door->daemon;
    door->daemon = fresh;
    return STATUS_OK;
}

/* ---- the end ---- */

/* Every request has ended by now; the last answers may be on their way. */
static void let_finish(struct door *door)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += CLOSE_SECONDS;
    pthread_mutex_lock(&door->lock);
    door->is_closing = true;
    while (door->exchanges && !pthread_cond_timedwait(&door->emptied, &door->lock, &until))
        ;
    for (struct exchange *exchange = door->exchanges; exchange; exchange = exchange->next)
        exchange_cut(exchange);
    pthread_mutex_unlock(&door->lock);
}

void door_close(struct door *door)
{
    if (!door)
        return;
    if (door->daemon)
        MHD_quiesce_daemon(door->daemon);
    let_finish(door);
    for (int i = 0; i < OLD_DAEMONS; i++) {
        if (door->old[i])
            MHD_stop_daemon(door->old[i]);
    }
    if (door->daemon)
        MHD_stop_daemon(door->daemon);
    connection_guard_stop(door->guard);
    if (door->descriptor >= 0)
        close(door->descriptor);
    watch_free(door->watch);
    proxies_release(&door->identity.proxies);
    pthread_cond_destroy(&door->emptied);
    pthread_mutex_destroy(&door->lock);
    free(door);
}
