#include "common/rpc/server.h"

#include <assert.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/rpc/access_table.h"
#include "common/rpc/call.h"
#include "common/rpc/connection_guard.h"
#include "common/rpc/entrance.h"
#include "common/rpc/peer.h"
#include "common/rpc/quota.h"
#include "common/rpc/tls_server.h"
#include "common/rpc/wire.h"

enum {
    N_SLOTS = 64, /* calls that may arrive at an entrance before anybody has looked at the first */
    DEFAULT_MESSAGE_BYTES = 4 << 20,
    DEFAULT_ALL_QUEUED_BYTES = 256 << 20,
    DEFAULT_HEADER_BYTES = 16 << 10,
    DEFAULT_STREAMS = 1024,
    DEFAULT_CALLS = 8192,
    DEFAULT_KEEPALIVE_SECONDS = 10,
    DEFAULT_REQUEST_SECONDS = 30,
    DEFAULT_STALL_SECONDS = 30,
    REOPEN_TRIES = 20,
    REOPEN_PAUSE_MS = 100,
};

#define MISSING_SLOT_SECONDS 0.1
#define HANG_UP_SECONDS 0.2 /* clients whose calls are done have so long to close their connections */

struct rpc_server {
    struct call_host host; /* first: call.c hands it back to us */
    struct pollers pollers;
    struct entrance_limits limits;
    char address[ADDRESS_TEXT_MAX];
    char private_address[ADDRESS_TEXT_MAX]; /* "": none */
    struct rpc_authorizer authorizer;
    struct rpc_refusals refusals;
    struct tls_server *tls;         /* NULL: none */
    struct connection_guard *guard; /* NULL: a unix address */
    struct quota *quota;            /* with the turn */
    struct traffic *traffic;
    struct rpc_service *services; /* ends with .name = NULL */
    atomic_bool is_deaf;          /* nobody accepts connections */
    atomic_bool must_recheck;     /* the open calls, because credentials have changed */

    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct entrance *entrances;
    int n_calls; /* slots and calls that gRPC still knows */
    bool closing;
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

/* The authoriser knows whose credential it is now: nobody's, if it was revoked. */
static bool may_stay(struct call_host *host, const struct rpc_call *call, const struct rpc_method *method,
                     struct error *error)
{
    const struct rpc_authorizer *authorizer = &server_of(host)->authorizer;
    struct rpc_caller caller = {.scopes = RPC_SCOPES_ALL};
    if (!authorizer->authorize || method->scopes & RPC_SCOPE_ANYBODY)
        return true;
    return authorizer->authorize(call, method->path, &caller, authorizer->context, error) == STATUS_OK &&
           check_scope(method, method->path, &caller, error) == STATUS_OK;
}

static void left(struct call_host *host, const struct rpc_call *call, const struct rpc_method *method)
{
    const struct rpc_caller *caller = rpc_call_caller(call);
    if (is_counted(call, method, caller))
        quota_give(server_of(host)->quota, caller->name);
}

static void note_missing_slot(struct rpc_server *server, struct entrance *entrance)
{
    pthread_mutex_lock(&server->mutex);
    server->n_calls--;
    entrance->n_missing_slots++;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->mutex);
}

/* An entrance that closes gets no slot: gRPC would refuse it at once, and the next one too, for ever. */
static void post_slot(struct call_host *host, struct entrance *entrance)
{
    struct rpc_server *server = server_of(host);
    pthread_mutex_lock(&server->mutex);
    bool closing = entrance->is_closing;
    server->n_calls += !closing;
    pthread_mutex_unlock(&server->mutex);
    if (!closing && !call_post(host, entrance))
        note_missing_slot(server, entrance);
}

/* Doors are added at the front, and stay until the server is freed. */
static struct entrance *first_entrance(struct rpc_server *server)
{
    pthread_mutex_lock(&server->mutex);
    struct entrance *entrance = server->entrances;
    pthread_mutex_unlock(&server->mutex);
    return entrance;
}

static int take_missing_slots(struct rpc_server *server, struct entrance *entrance)
{
    pthread_mutex_lock(&server->mutex);
    int n = entrance->n_missing_slots;
    entrance->n_missing_slots = 0;
    pthread_mutex_unlock(&server->mutex);
    return n;
}

/* Posts slots for which there was no memory before. Returns the seconds until the next try. */
static double post_missing_slots(struct rpc_server *server)
{
    bool missing = false;
    for (struct entrance *entrance = first_entrance(server); entrance; entrance = entrance->next) {
        for (int n = take_missing_slots(server, entrance); n > 0; n--)
            post_slot(&server->host, entrance);
        pthread_mutex_lock(&server->mutex);
        missing |= entrance->n_missing_slots > 0;
        pthread_mutex_unlock(&server->mutex);
    }
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

/* ---- with the turn ---- */

static struct entrance *entrance_of(struct rpc_server *server, const struct completion *completion)
{
    struct entrance *entrance = server->entrances;
    while (entrance && &entrance->drained != completion)
        entrance = entrance->next;
    return entrance;
}

static void complete(void *context, struct completion *completion, bool ok)
{
    struct rpc_server *server = context;
    pthread_mutex_lock(&server->mutex);
    struct entrance *entrance = entrance_of(server, completion);
    if (entrance) { /* of grpc_server_shutdown_and_notify */
        entrance->is_drained = true;
        pthread_cond_broadcast(&server->changed);
    }
    pthread_mutex_unlock(&server->mutex);
    if (!entrance)
        call_complete(completion, ok);
}

static double tick(void *context)
{
    struct rpc_server *server = context;
    if (atomic_exchange(&server->must_recheck, false))
        call_recheck(&server->host);
    return fmin(call_watch(&server->host), post_missing_slots(server));
}

/* ---- opening ---- */

static int or_default(int value, int fallback)
{
    return value ? value : fallback;
}

static void start_entrance(struct rpc_server *server, struct entrance *entrance)
{
    grpc_server_start(entrance->server);
    for (int i = 0; i < N_SLOTS; i++)
        post_slot(&server->host, entrance);
}

static struct entrance_place public_place(const struct rpc_server *server, const char *address)
{
    return (struct entrance_place){.text = address, .tls = server->tls};
}

/* In the clear, whatever the other address asks for. Without a text there is none. */
static struct entrance_place private_place(const struct rpc_server *server)
{
    return (struct entrance_place){.text = *server->private_address ? server->private_address : NULL,
                                   .is_private = true};
}

/* Holding nothing. The entrance is the server's from now on, also when it could not be opened. */
static enum status open_entrance(struct rpc_server *server, const struct entrance_place *place, char *bound,
                                 int *port, struct error *error)
{
    struct address address;
    struct entrance *entrance = NULL;
    enum status status = address_parse(place->text, ADDRESS_TO_LISTEN, &address, error);
    *port = 0;
    if (status == STATUS_OK)
        status = entrance_open(place, &address, &server->limits, server->host.queue, &entrance, port, error);
    pthread_mutex_lock(&server->mutex);
    if (entrance) {
        entrance->next = server->entrances;
        server->entrances = entrance;
    }
    pthread_mutex_unlock(&server->mutex);
    if (status == STATUS_OK && bound)
        address_format_bound(&address, *port, bound);
    return status;
}

/* ---- opening again: on the guard's thread ---- */

static void shut_entrance(struct rpc_server *server, struct entrance *entrance)
{
    pthread_mutex_lock(&server->mutex);
    bool was_open = !entrance->is_closing;
    entrance->is_closing = true;
    pthread_mutex_unlock(&server->mutex);
    if (was_open)
        grpc_server_shutdown_and_notify(entrance->server, server->host.queue, &entrance->drained);
}

/* The address is free as soon as gRPC has closed the old listener. */
static enum status open_again(struct rpc_server *server, const struct entrance_place *place,
                              struct error *error)
{
    struct entrance *entrance;
    int port;
    enum status status = STATUS_UNAVAILABLE;
    for (int i = 0; i < REOPEN_TRIES && status != STATUS_OK; i++) {
        poll(NULL, 0, REOPEN_PAUSE_MS);
        status = open_entrance(server, place, NULL, &port, error);
        entrance = first_entrance(server);
        if (status == STATUS_OK)
            start_entrance(server, entrance);
        else
            shut_entrance(server, entrance);
    }
    return status;
}

/* Connections go on through the old entrances; gRPC tells clients to come anew for their next calls. The
 * private entrance may be as dead as the public one, which nobody can see. */
static bool listen_again(void *context)
{
    struct rpc_server *server = context;
    struct error error;
    if (clock_seconds() - pollers_turned_at(&server->pollers) > 1)
        return true; /* all threads are busy; that passes */
    if (!atomic_exchange(&server->is_deaf, true))
        log_error("nobody accepts connections at %s any more: gRPC gave up when the process had no "
                  "descriptor left; listening again",
                  server->address);
    for (struct entrance *entrance = first_entrance(server); entrance; entrance = entrance->next)
        shut_entrance(server, entrance);
    const struct entrance_place public = public_place(server, server->address),
                                private = private_place(server);
    enum status status = open_again(server, &public, &error);
    if (status == STATUS_OK && private.text)
        status = open_again(server, &private, &error);
    atomic_store(&server->is_deaf, status != STATUS_OK);
    if (status != STATUS_OK)
        log_error("%s", error.text);
    return status == STATUS_OK;
}

bool rpc_server_listens(const struct rpc_server *server)
{
    return !atomic_load(&server->is_deaf);
}

/* ---- opening ---- */

static enum status listen_on(struct rpc_server *server, const struct rpc_server_options *options,
                             struct error *error)
{
    int port, private_port;
    enum status status = options->tls ? tls_server_create(options->tls, &server->tls, error) : STATUS_OK;
    if (options->private_address)
        snprintf(server->private_address, sizeof server->private_address, "%s", options->private_address);
    const struct entrance_place public = public_place(server, options->address),
                                private = private_place(server);
    if (status == STATUS_OK)
        status = open_entrance(server, &public, server->address, &port, error);
    if (status == STATUS_OK && private.text)
        status = open_entrance(server, &private, NULL, &private_port, error);
    if (status != STATUS_OK || !port)
        return status;
    const struct connection_guard_options guard_options = {
        .port = port,
        .most = options->max_connections ? options->max_connections : connection_guard_affordable(),
        .traffic = server->traffic,
        .max_message_bytes = server->limits.max_message_bytes,
        .listen_again = listen_again,
        .context = server};
    return connection_guard_start(&guard_options, &server->guard, error);
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
    for (struct entrance *entrance = server->entrances, *next; entrance; entrance = next) {
        next = entrance->next;
        entrance_free(entrance);
    }
    grpc_completion_queue_destroy(server->host.queue);
    pthread_cond_destroy(&server->changed);
    pthread_mutex_destroy(&server->mutex);
    tls_server_free(server->tls);
    quota_free(server->quota);
    traffic_free(server->traffic);
    free(server->services);
    free(server);
    grpc_shutdown();
}

static struct rpc_server *server_allocate(const struct rpc_server_options *options)
{
    int max_calls = or_default(options->max_calls, DEFAULT_CALLS);
    struct rpc_server *server = calloc(1, sizeof *server);
    struct rpc_service *services = copy_services(options->services);
    struct quota *quota = quota_create(max_calls, or_default(options->max_caller_calls, (max_calls + 1) / 2));
    struct traffic *traffic = traffic_create();
    if (!server || !services || !quota || !traffic) {
        free(server);
        free(services);
        quota_free(quota);
        traffic_free(traffic);
        return NULL;
    }
    server->services = services;
    server->quota = quota;
    server->traffic = traffic;
    return server;
}

static struct call_host host_of(const struct rpc_server_options *options)
{
    return (struct call_host){
        .queue = grpc_completion_queue_create_for_next(NULL),
        .max_queued_bytes = options->max_queued_bytes ? options->max_queued_bytes : DEFAULT_MESSAGE_BYTES,
        .max_all_queued_bytes =
            options->max_all_queued_bytes ? options->max_all_queued_bytes : DEFAULT_ALL_QUEUED_BYTES,
        .max_header_bytes = (size_t)or_default(options->max_header_bytes, DEFAULT_HEADER_BYTES),
        .request_seconds = options->request_seconds > 0 ? options->request_seconds : DEFAULT_REQUEST_SECONDS,
        .stall_seconds = options->stall_seconds > 0 ? options->stall_seconds : DEFAULT_STALL_SECONDS,
        .find = find_method,
        .admit = admit,
        .may_stay = may_stay,
        .left = left,
        .arrived = post_slot,
        .released = call_released,
    };
}

static struct rpc_server *server_create(const struct rpc_server_options *options)
{
    struct rpc_server *server = server_allocate(options);
    if (!server)
        return NULL;
    wire_open();
    pthread_mutex_init(&server->mutex, NULL);
    clock_condition_init(&server->changed);
    server->authorizer = options->authorizer;
    server->refusals = options->refusals;
    server->limits = (struct entrance_limits){
        .keepalive_ms = 1000 * or_default(options->keepalive_seconds, DEFAULT_KEEPALIVE_SECONDS),
        .max_streams = or_default(options->max_streams, DEFAULT_STREAMS),
        .max_message_bytes = options->max_message_bytes ? options->max_message_bytes : DEFAULT_MESSAGE_BYTES};
    server->host = host_of(options);
    server->host.traffic = server->traffic;
    return server;
}

enum status rpc_server_open(const struct rpc_server_options *options, struct rpc_server **opened,
                            struct error *error)
{
    struct rpc_server *server = server_create(options);
    if (!server)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for the server");
    const struct poller_work work = {complete, tick, options->batch, server};
    enum status status = pollers_start(&server->pollers, server->host.queue, &work, error);
    if (status == STATUS_OK)
        status = listen_on(server, options, error);
    if (status != STATUS_OK) {
        rpc_server_close(server, 0);
        return status;
    }
    for (struct entrance *entrance = server->entrances; entrance; entrance = entrance->next)
        start_entrance(server, entrance);
    *opened = server;
    return STATUS_OK;
}

void rpc_server_recheck(struct rpc_server *server)
{
    atomic_store(&server->must_recheck, true);
}

double rpc_server_turned_at(const struct rpc_server *server)
{
    return pollers_turned_at(&server->pollers);
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

/* Holding the mutex. */
static bool is_drained(const struct rpc_server *server)
{
    const struct entrance *entrance = server->entrances;
    while (entrance && entrance->is_drained)
        entrance = entrance->next;
    return !entrance;
}

/* Holding the mutex. Waits at most so many seconds until gRPC is done or, unless `for_connections`, until all
 * calls are. */
static void wait_at_most(struct rpc_server *server, double seconds, bool for_connections)
{
    struct timespec until = clock_after(seconds);
    bool in_time = true;
    while (!is_drained(server) && (for_connections || server->n_calls > 0) && in_time)
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
    bool cut_off = !is_drained(server);
    pthread_mutex_unlock(&server->mutex);
    for (struct entrance *entrance = server->entrances; entrance && cut_off; entrance = entrance->next)
        grpc_server_cancel_all_calls(entrance->server);
    pthread_mutex_lock(&server->mutex);
    while (!is_drained(server) || server->n_calls > 0)
        pthread_cond_wait(&server->changed, &server->mutex);
    pthread_mutex_unlock(&server->mutex);
}

void rpc_server_close(struct rpc_server *server, double grace_seconds)
{
    if (!server)
        return;
    connection_guard_stop(server->guard);
    for (struct entrance *entrance = server->entrances; entrance; entrance = entrance->next)
        shut_entrance(server, entrance);
    if (server->pollers.n_threads)
        wait_for_calls(server, grace_seconds);
    grpc_completion_queue_shutdown(server->host.queue);
    pollers_join(&server->pollers);
    server_free(server);
}
