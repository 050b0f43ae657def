#include "coordinator/monitoring/http.h"

#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "coordinator/monitoring/listener.h"

enum {
    MAX_CONNECTIONS = 64,
    SILENCE_SECONDS = 10,
    CONNECTION_BYTES = 8 << 10, /* memory of a connection, for the headers of a request and of its answer */
};

/* An open connection, in a list from the oldest to the newest. Only libmicrohttpd's one thread uses it. */
struct visit {
    struct visit *older, *newer;
    int descriptor;
};

struct http_server {
    struct MHD_Daemon *daemon;
    const struct http_page *pages;
    void *context;
    char address[128];
    struct visit *oldest, *newest;
    int n_visits, max_visits;
};

/* ---- connections ---- */

static void append(struct http_server *server, struct visit *visit)
{
    visit->older = server->newest;
    if (server->newest)
        server->newest->newer = visit;
    else
        server->oldest = visit;
    server->newest = visit;
    server->n_visits++;
}

static void take_out(struct http_server *server, struct visit *visit)
{
    if (visit->older)
        visit->older->newer = visit->newer;
    else
        server->oldest = visit->newer;
    if (visit->newer)
        visit->newer->older = visit->older;
    else
        server->newest = visit->older;
    server->n_visits--;
}

/* Shuts the oldest connection down, and no longer counts it as open. libmicrohttpd then ends it. */
static void cut_oldest(struct http_server *server)
{
    struct visit *visit = server->oldest;
    log_debug("http: too many connections; the oldest is cut");
    shutdown(visit->descriptor, SHUT_RDWR);
    take_out(server, visit);
    visit->descriptor = -1;
}

static void begin_visit(struct http_server *server, struct MHD_Connection *connection, void **visit_slot)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct visit *visit = info ? calloc(1, sizeof *visit) : NULL;
    *visit_slot = visit;
    if (!visit)
        return;
    visit->descriptor = info->connect_fd;
    append(server, visit);
    if (server->n_visits > server->max_visits)
        cut_oldest(server);
}

static void end_visit(struct http_server *server, struct visit *visit)
{
    if (visit && visit->descriptor >= 0)
        take_out(server, visit);
    free(visit);
}

static void on_connection(void *context, struct MHD_Connection *connection, void **visit_slot,
                          enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        begin_visit(context, connection, visit_slot);
    else
        end_visit(context, *visit_slot);
}

/* ---- answers ---- */

/* Queues the answer. It takes the page over. */
static enum MHD_Result answer(struct MHD_Connection *connection, unsigned code, const char *content_type,
                              struct exposition *page)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(page->size, page->text, MHD_RESPMEM_MUST_FREE);
    if (!response) {
        exposition_free(page);
        return MHD_NO; /* the connection is closed */
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    if (code == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    enum MHD_Result queued = MHD_queue_response(connection, code, response);
    MHD_destroy_response(response);
    return queued;
}

static enum MHD_Result answer_text(struct MHD_Connection *connection, unsigned code, const char *text)
{
    struct exposition page = {0};
    exposition_text(&page, text);
    return answer(connection, code, "text/plain; charset=utf-8", &page);
}

static const struct http_page *find_page(const struct http_server *server, const char *path)
{
    const struct http_page *page = server->pages;
    while (page->path && strcmp(page->path, path))
        page++;
    return page->path ? page : NULL;
}

static enum MHD_Result answer_page(struct http_server *server, const struct http_page *page,
                                   struct MHD_Connection *connection)
{
    struct exposition content = {0};
    unsigned code = page->write(server->context, &content);
    if (!content.incomplete)
        return answer(connection, code, page->content_type, &content);
    exposition_free(&content);
    return answer_text(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "no memory for the page\n");
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **state)
{
    struct http_server *server = context;
    const struct http_page *page = find_page(server, path);
    (void)version, (void)upload, (void)upload_size, (void)state;
    if (!page)
        return answer_text(connection, MHD_HTTP_NOT_FOUND, "there is no such page\n");
    if (strcmp(method, MHD_HTTP_METHOD_GET) && strcmp(method, MHD_HTTP_METHOD_HEAD))
        return answer_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "this page can only be read\n");
    return answer_page(server, page, connection);
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

static struct MHD_Daemon *start(struct http_server *server, int descriptor)
{
    return MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_USE_ITC | MHD_USE_ERROR_LOG,
                            0, NULL, NULL, on_request, server, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
                            MHD_OPTION_LISTEN_SOCKET, descriptor, MHD_OPTION_CONNECTION_LIMIT,
                            (unsigned)server->max_visits * 2, MHD_OPTION_CONNECTION_TIMEOUT,
                            (unsigned)SILENCE_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                            (size_t)CONNECTION_BYTES, MHD_OPTION_CONNECTION_MEMORY_INCREMENT, (size_t)1024,
                            MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_END);
}

enum status http_server_open(const struct http_options *options, struct http_server **server,
                             struct error *error)
{
    struct http_server *made = calloc(1, sizeof *made);
    int descriptor;
    if (!made)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the HTTP server");
    made->pages = options->pages;
    made->context = options->context;
    made->max_visits = options->max_connections ? options->max_connections : MAX_CONNECTIONS;
    enum status status =
        listener_open("--metrics", options->address, &descriptor, made->address, sizeof made->address, error);
    if (status == STATUS_OK && !(made->daemon = start(made, descriptor))) {
        close(descriptor);
        status = error_set(error, STATUS_UNAVAILABLE, "--metrics: cannot start the server's thread");
    }
    if (status == STATUS_OK)
        *server = made;
    else
        free(made);
    return status;
}

const char *http_server_address(const struct http_server *server)
{
    return server->address;
}

void http_server_close(struct http_server *server)
{
    if (!server)
        return;
    MHD_stop_daemon(server->daemon);
    free(server);
}
