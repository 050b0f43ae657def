#include "common/rpc/server.h"

#include <assert.h>
#include <grpc/grpc_security.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/rpc/access_table.h"
#include "common/rpc/binding.h"
#include "common/rpc/call.h"
#include "common/rpc/connection_guard.h"
#include "common/rpc/peer.h"
#include "common/rpc/quota.h"
#include "common/rpc/tls_server.h"
#include "common/rpc/wire.h"

enum {
    N_SLOTS = 64, /* calls that may arrive before the thread has looked at the first */
    DEFAULT_MESSAGE_BYTES = 4 << 20,
    DEFAULT_HEADER_BYTES = 16 << 10,
    CONNECTION_HEADER_BYTES = (1 << 20) + (64 << 10), /* with more the connection ends: call.c */
    DEFAULT_STREAMS = 1024,
    DEFAULT_CALLS = 8192,
    DEFAULT_KEEPALIVE_SECONDS = 10,
    DEFAULT_REQUEST_SECONDS = 30,
    LEAST_PING_INTERVAL_MS = 1000, /* clients that ping more often are cut off */
    HANDSHAKE_MS = 10000,
    IDLE_CONNECTION_MS = 600000,
    MEMORY_BYTES = 1 << 30, /* of gRPC's buffers for all connections: near it windows shrink */
};

#define MISSING_SLOT_SECONDS 0.1
#define BATCH_SECONDS 0.002
#define HANG_UP_SECONDS 0.2 /* clients whose calls are done have so long to close their connections */

struct rpc_server {
    struct call_host host; /* first: call.c hands it back to us */
    pthread_t thread;
    char address[ADDRESS_TEXT_MAX];
    struct rpc_authorizer authorizer;
    struct rpc_refusals refusals;
    struct rpc_batch batch;
    struct tls_server *tls;         /* NULL: none */
    struct connection_guard *guard; /* NULL: a unix address */
    struct quota *quota;            /* the server's thread alone */
    struct rpc_service *services;   /* ends with .name = NULL */

    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int n_calls;         /* slots and calls that gRPC still knows */
    int n_missing_slots; /* for which there was no memory */
    bool closing;
    bool drained; /* gRPC says that no call is left */
};

static struct rpc_server *server_of(struct call_host *host)
{
    return (struct rpc_server *)host;
}

/* ---- what calls ask of their server ---- */

static const struct rpc_method *find_method(struct call_host *host, const char *path, void **context)
{
    for (const struct rpc_service *service = server_of(host)->services; service->name; service++) {
        for (const struct rpc_method *method = service->methods; method->path; method++) {
            if (!strcmp(method->path, path)) {
                *context = service->context;
                return method;
            }
        }
    }
    return NULL;
}

/* A method without scopes is closed to all but administrators. */
static enum status check_scope(const struct rpc_method *method, const char *path,
                               const struct rpc_caller *caller, struct error *error)
{
    return access_check_scope(caller, method->scopes ? method->scopes : RPC_SCOPE_ADMIN, path, error);
}

static enum status identify(const struct rpc_server *server, const struct rpc_call *call, const char *path,
                            const struct rpc_method *method, struct rpc_caller *caller, struct error *error)
{
    const struct rpc_authorizer *authorizer = &server->authorizer;
    *caller = (struct rpc_caller){.scopes = RPC_SCOPES_ALL};
    peer_host(rpc_call_peer(call), caller->name, sizeof caller->name);
    if (!authorizer->authorize || (method && method->scopes & RPC_SCOPE_ANYBODY))
        return STATUS_OK;
    enum status status = authorizer->authorize(call, path, caller, authorizer->context, error);
    if (status == STATUS_OK && method)
        status = check_scope(method, path, caller, error);
    if (status != STATUS_OK && server->refusals.refused)
        server->refusals.refused(path, server->refusals.context);
    return status;
}

/* The connections of replicas do not count, so that a flood of clients cannot keep them out. Other calls of a
 * caller with the replica scope do: it may have every scope. */
static bool is_counted(const struct rpc_call *call, const struct rpc_method *method,
                       const struct rpc_caller *caller)
{
    bool is_replica = method && method->scopes == RPC_SCOPE_REPLICA && caller->authenticated;
    return !is_replica && strncmp(rpc_call_peer(call), "unix", 4) != 0;
}

static enum status admit(struct call_host *host, const struct rpc_call *call, const char *path,
                         const struct rpc_method *method, struct rpc_caller *caller, struct error *error)
{
    struct rpc_server *server = server_of(host);
    enum status status = identify(server, call, path, method, caller, error);
    if (status == STATUS_OK && is_counted(call, method, caller))
        status = quota_take(server->quota, caller->name, error);
    return status;
}

static void left(struct call_host *host, const struct rpc_call *call, const struct rpc_method *method)
{
    const struct rpc_caller *caller = rpc_call_caller(call);
    if (is_counted(call, method, caller))
        quota_give(server_of(host)->quota, caller->name);
}

static void note_missing_slot(struct rpc_server *server)
{
    pthread_mutex_lock(&server->mutex);
    server->n_calls--;
    server->n_missing_slots++;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->mutex);
}

/* A server that closes posts no slot: gRPC would refuse it at once, and the next one too, for ever. */
static void post_slot(struct call_host *host)
{
    struct rpc_server *server = server_of(host);
    pthread_mutex_lock(&server->mutex);
    bool closing = server->closing;
    server->n_calls += !closing;
    pthread_mutex_unlock(&server->mutex);
    if (!closing && !call_post(host))
        note_missing_slot(server);
}

/* Posts slots for which there was no memory before. Returns the seconds until the next try. */
static double post_missing_slots(struct rpc_server *server)
{
    pthread_mutex_lock(&server->mutex);
    int n = server->n_missing_slots;
    server->n_missing_slots = 0;
    pthread_mutex_unlock(&server->mutex);
    for (int i = 0; i < n; i++)
        post_slot(&server->host);
    pthread_mutex_lock(&server->mutex);
    bool missing = server->n_missing_slots > 0;
    pthread_mutex_unlock(&server->mutex);
    return missing ? MISSING_SLOT_SECONDS : INFINITY;
}

static void call_released(struct call_host *host)
{
    struct rpc_server *server = server_of(host);
    pthread_mutex_lock(&server->mutex);
    server->n_calls--;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->mutex);
}

/* ---- the server's thread ---- */

static void note_drained(struct rpc_server *server)
{
    pthread_mutex_lock(&server->mutex);
    server->drained = true;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->mutex);
}

static void complete(struct rpc_server *server, const grpc_event *event)
{
    if (event->tag == server) /* of grpc_server_shutdown_and_notify */
        note_drained(server);
    else
        call_complete(event->tag, event->success != 0);
}

/* Handles the event, and those that are there already as long as that pays. Returns the last that was seen.
 */
static grpc_event complete_batch(struct rpc_server *server, grpc_event event)
{
    const struct rpc_batch *batch = &server->batch;
    double until = clock_seconds() + BATCH_SECONDS;
    batch->begin(batch->context);
    for (int n = 1; event.type == GRPC_OP_COMPLETE; n++) {
        complete(server, &event);
        if (n == RPC_BATCH_MOST || !batch->more(batch->context) || clock_seconds() > until)
            break;
        event = grpc_completion_queue_next(server->host.queue, gpr_time_0(GPR_CLOCK_MONOTONIC), NULL);
    }
    batch->end(batch->context);
    return event;
}

static void *serve(void *argument)
{
    struct rpc_server *server = argument;
    for (;;) {
        double seconds = fmin(call_expire(&server->host), post_missing_slots(server));
        gpr_timespec until = wire_deadline(seconds);
        grpc_event event = grpc_completion_queue_next(server->host.queue, until, NULL);
        if (event.type == GRPC_OP_COMPLETE && server->batch.begin)
            event = complete_batch(server, event);
        else if (event.type == GRPC_OP_COMPLETE)
            complete(server, &event);
        if (event.type == GRPC_QUEUE_SHUTDOWN)
            return NULL;
    }
}

/* ---- opening ---- */

static int or_default(int value, int fallback)
{
    return value ? value : fallback;
}

static grpc_server *create_grpc_server(const struct rpc_server_options *options)
{
    int keepalive_ms =
        1000 * (options->keepalive_seconds ? options->keepalive_seconds : DEFAULT_KEEPALIVE_SECONDS);
    size_t max_bytes = options->max_message_bytes ? options->max_message_bytes : DEFAULT_MESSAGE_BYTES;
    grpc_resource_quota *memory = grpc_resource_quota_create("server");
    grpc_resource_quota_resize(memory, MEMORY_BYTES);
    grpc_arg arguments[] = {
        {.type = GRPC_ARG_POINTER,
         .key = (char *)GRPC_ARG_RESOURCE_QUOTA,
         .value.pointer = {memory, grpc_resource_quota_arg_vtable()}},
        wire_integer_argument(GRPC_ARG_ALLOW_REUSEPORT, 0),
        wire_integer_argument(GRPC_ARG_MAX_METADATA_SIZE, CONNECTION_HEADER_BYTES),
        wire_integer_argument(GRPC_ARG_MAX_CONCURRENT_STREAMS,
                              or_default(options->max_streams, DEFAULT_STREAMS)),
        wire_integer_argument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, HANDSHAKE_MS),
        wire_integer_argument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, IDLE_CONNECTION_MS),
        wire_integer_argument(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, (int)max_bytes),
        wire_uncompressed_argument(),
        wire_integer_argument(GRPC_ARG_KEEPALIVE_TIME_MS, keepalive_ms),
        wire_integer_argument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, keepalive_ms),
        wire_integer_argument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
        wire_integer_argument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0),
        wire_integer_argument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, LEAST_PING_INTERVAL_MS),
    };
    grpc_channel_args all = {sizeof arguments / sizeof *arguments, arguments};
    grpc_server *server = grpc_server_create(&all, NULL);
    grpc_resource_quota_unref(memory);
    return server;
}

/* Returns the port; 0: gRPC cannot. Takes the credentials over. */
static int add_port(struct rpc_server *server, const char *text, grpc_server_credentials *credentials)
{
    int port = grpc_server_add_http2_port(server->host.server, text, credentials);
    grpc_server_credentials_release(credentials);
    return port > 0 ? port : 0;
}

static enum status bind_address(struct rpc_server *server, const char *text, const struct address *address,
                                grpc_server_credentials *credentials, int *port, struct error *error)
{
    struct binding binding;
    enum status status = binding_begin(address, &binding, error);
    if (status != STATUS_OK) {
        grpc_server_credentials_release(credentials);
        return status;
    }
    *port = add_port(server, text, credentials);
    if (!*port)
        status = binding_refuse(address, error);
    binding_end(&binding);
    return status;
}

/* In the clear, whatever the other address asks for. It is the caller's own: nobody else can be there. */
static enum status bind_private_address(struct rpc_server *server, const char *text, struct error *error)
{
    struct address address;
    enum status status = address_parse(text, ADDRESS_TO_LISTEN, &address, error);
    if (status == STATUS_OK && !add_port(server, text, grpc_insecure_server_credentials_create()))
        status = binding_refuse(&address, error);
    return status;
}

static enum status listen_on(struct rpc_server *server, const struct rpc_server_options *options,
                             struct error *error)
{
    struct address address;
    int port;
    enum status status = address_parse(options->address, ADDRESS_TO_LISTEN, &address, error);
    if (status == STATUS_OK && options->tls)
        status = tls_server_create(options->tls, &server->tls, error);
    if (status != STATUS_OK)
        return status;
    status = bind_address(server, options->address, &address,
                          server->tls ? tls_server_credentials(server->tls)
                                      : grpc_insecure_server_credentials_create(),
                          &port, error);
    if (status != STATUS_OK)
        return status;
    address_format_bound(&address, port, server->address);
    if (options->private_address)
        status = bind_private_address(server, options->private_address, error);
    if (status != STATUS_OK || address.kind != ADDRESS_TCP)
        return status;
    return connection_guard_start(
        port, options->max_connections ? options->max_connections : connection_guard_affordable(),
        &server->guard, error);
}

static struct rpc_service *copy_services(const struct rpc_service *services)
{
    size_t n = 1;
    while (services[n - 1].name)
        n++;
    struct rpc_service *copy = calloc(n, sizeof *copy);
    if (copy)
        memcpy(copy, services, n * sizeof *copy);
    return copy;
}

static void server_free(struct rpc_server *server)
{
    grpc_completion_queue_destroy(server->host.queue);
    pthread_cond_destroy(&server->changed);
    pthread_mutex_destroy(&server->mutex);
    tls_server_free(server->tls);
    quota_free(server->quota);
    free(server->services);
    free(server);
    grpc_shutdown();
}

static struct rpc_server *server_create(const struct rpc_server_options *options)
{
    int max_calls = or_default(options->max_calls, DEFAULT_CALLS);
    struct rpc_server *server = calloc(1, sizeof *server);
    struct rpc_service *services = copy_services(options->services);
    struct quota *quota = quota_create(max_calls, or_default(options->max_caller_calls, (max_calls + 1) / 2));
    if (!server || !services || !quota) {
        free(server);
        free(services);
        quota_free(quota);
        return NULL;
    }
    wire_open();
    pthread_mutex_init(&server->mutex, NULL);
    clock_condition_init(&server->changed);
    server->services = services;
    server->quota = quota;
    server->authorizer = options->authorizer;
    server->refusals = options->refusals;
    server->batch = options->batch;
    server->host = (struct call_host){
        .queue = grpc_completion_queue_create_for_next(NULL),
        .max_queued_bytes = options->max_queued_bytes ? options->max_queued_bytes : DEFAULT_MESSAGE_BYTES,
        .max_header_bytes = (size_t)or_default(options->max_header_bytes, DEFAULT_HEADER_BYTES),
        .find = find_method,
        .request_seconds = options->request_seconds > 0 ? options->request_seconds : DEFAULT_REQUEST_SECONDS,
        .admit = admit,
        .left = left,
        .arrived = post_slot,
        .released = call_released,
    };
    return server;
}

static void start(struct rpc_server *server)
{
    grpc_server_start(server->host.server);
    for (int i = 0; i < N_SLOTS; i++)
        post_slot(&server->host);
}

enum status rpc_server_open(const struct rpc_server_options *options, struct rpc_server **opened,
                            struct error *error)
{
    struct rpc_server *server = server_create(options);
    if (!server)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the server");
    if (pthread_create(&server->thread, NULL, serve, server)) {
        grpc_completion_queue_shutdown(server->host.queue);
        serve(server); /* takes the queue to its end */
        server_free(server);
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "cannot start a thread for the server");
    }
    server->host.server = create_grpc_server(options);
    grpc_server_register_completion_queue(server->host.server, server->host.queue, NULL);
    enum status status = listen_on(server, options, error);
    if (status != STATUS_OK) {
        rpc_server_close(server, 0);
        return status;
    }
    start(server);
    *opened = server;
    return STATUS_OK;
}

enum status rpc_server_reload_tls(struct rpc_server *server, struct error *error)
{
    return server->tls ? tls_server_reload(server->tls, error) : STATUS_OK;
}

const char *rpc_server_address(const struct rpc_server *server)
{
    return server->address;
}

/* ---- closing ---- */

/* Holding the mutex. Waits at most so many seconds until gRPC is done or, unless `for_connections`, until all
 * calls are. */
static void wait_at_most(struct rpc_server *server, double seconds, bool for_connections)
{
    struct timespec until = clock_after(seconds);
    bool in_time = true;
    while (!server->drained && (for_connections || server->n_calls > 0) && in_time)
        in_time = clock_wait_until(&server->changed, &server->mutex, &until);
}

/*
 * gRPC says that it is done when every call is over and every client has hung up. But our batches may still
 * be on the queue then, and an idle client may never hang up. So the calls get their grace and the clients a
 * moment more. Then both are cut off, and we wait for our batches.
 */
static void wait_for_calls(struct rpc_server *server, double grace_seconds)
{
    pthread_mutex_lock(&server->mutex);
    wait_at_most(server, grace_seconds, false);
    if (!server->n_calls)
        wait_at_most(server, HANG_UP_SECONDS, true);
    bool cut_off = !server->drained;
    pthread_mutex_unlock(&server->mutex);
    if (cut_off)
        grpc_server_cancel_all_calls(server->host.server);
    pthread_mutex_lock(&server->mutex);
    while (!server->drained || server->n_calls > 0)
        pthread_cond_wait(&server->changed, &server->mutex);
    pthread_mutex_unlock(&server->mutex);
}

void rpc_server_close(struct rpc_server *server, double grace_seconds)
{
    if (!server)
        return;
    pthread_mutex_lock(&server->mutex);
    server->closing = true;
    pthread_mutex_unlock(&server->mutex);
    connection_guard_stop(server->guard);
    grpc_server_shutdown_and_notify(server->host.server, server->host.queue, server);
    wait_for_calls(server, grace_seconds);
    grpc_server_destroy(server->host.server);
    grpc_completion_queue_shutdown(server->host.queue);
    pthread_join(server->thread, NULL);
    server_free(server);
}
