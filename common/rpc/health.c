#include "common/rpc/health.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "proto/health.pb-c.h"

/* A client that follows changes. One that asks for an unknown name is told SERVICE_UNKNOWN once, because no
 * name becomes known later. */
struct watcher {
    struct watcher *next;
    struct rpc_call *call;
    bool known;
};

struct health {
    const char *const *services;
    pthread_mutex_t mutex;
    bool serving;
    struct watcher *watchers;
};

struct health *health_create(const char *const *services)
{
    struct health *health = calloc(1, sizeof *health);
    if (!health)
        return NULL;
    health->services = services;
    pthread_mutex_init(&health->mutex, NULL);
    return health;
}

void health_free(struct health *health)
{
    if (!health)
        return;
    pthread_mutex_destroy(&health->mutex);
    free(health);
}

static bool knows(const struct health *health, const char *name)
{
    if (!*name)
        return true;
    for (const char *const *service = health->services; *service; service++) {
        if (!strcmp(*service, name))
            return true;
    }
    return false;
}

static Grpc__Health__V1__HealthCheckResponse response(bool known, bool serving)
{
    Grpc__Health__V1__HealthCheckResponse message = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    message.status = !known    ? GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN
                     : serving ? GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
                               : GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING;
    return message;
}

static void tell(struct watcher *watcher, bool serving)
{
    Grpc__Health__V1__HealthCheckResponse message = response(watcher->known, serving);
    rpc_send(watcher->call, &message.base);
}

void health_set(struct health *health, bool serving)
{
    pthread_mutex_lock(&health->mutex);
    bool changed = health->serving != serving;
    health->serving = serving;
    for (struct watcher *watcher = health->watchers; watcher && changed; watcher = watcher->next) {
        if (watcher->known)
            tell(watcher, serving);
    }
    pthread_mutex_unlock(&health->mutex);
}

static void on_check(struct rpc_call *call, const ProtobufCMessage *message, void *context)
{
    struct health *health = context;
    const Grpc__Health__V1__HealthCheckRequest *request = (const void *)message;
    if (!knows(health, request->service)) {
        rpc_finish(call, STATUS_NOT_FOUND, "the server has no service of that name");
        return;
    }
    pthread_mutex_lock(&health->mutex);
    bool serving = health->serving;
    pthread_mutex_unlock(&health->mutex);
    Grpc__Health__V1__HealthCheckResponse answer = response(true, serving);
    rpc_reply(call, &answer.base);
}

static void on_watch(struct rpc_call *call, const ProtobufCMessage *message, void *context)
{
    struct health *health = context;
    const Grpc__Health__V1__HealthCheckRequest *request = (const void *)message;
    struct watcher *watcher = calloc(1, sizeof *watcher);
    if (!watcher) {
        rpc_finish(call, STATUS_RESOURCE_EXHAUSTED, "no memory to follow changes");
        return;
    }
    watcher->call = call;
    watcher->known = knows(health, request->service);
    pthread_mutex_lock(&health->mutex);
    watcher->next = health->watchers;
    health->watchers = watcher;
    tell(watcher, health->serving);
    pthread_mutex_unlock(&health->mutex);
}

static void on_watch_close(struct rpc_call *call, bool cancelled, void *context)
{
    (void)cancelled;
    struct health *health = context;
    pthread_mutex_lock(&health->mutex);
    struct watcher **link = &health->watchers;
    while (*link && (*link)->call != call)
        link = &(*link)->next;
    struct watcher *gone = *link;
    if (gone)
        *link = gone->next;
    pthread_mutex_unlock(&health->mutex);
    free(gone);
}

struct rpc_service health_service(struct health *health)
{
    static const struct rpc_method methods[] = {
        {"/grpc.health.v1.Health/Check", RPC_UNARY, &grpc__health__v1__health_check_request__descriptor,
         .on_call = on_check, .scopes = RPC_SCOPE_ANYBODY},
        {"/grpc.health.v1.Health/Watch", RPC_SERVER_STREAM,
         &grpc__health__v1__health_check_request__descriptor, .on_call = on_watch, .on_close = on_watch_close,
         .scopes = RPC_SCOPE_ANYBODY},
        {0},
    };
    return (struct rpc_service){"grpc.health.v1.Health", methods, health};
}
