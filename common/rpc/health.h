#ifndef MILLRACE_COMMON_RPC_HEALTH_H
#define MILLRACE_COMMON_RPC_HEALTH_H

#include <stdbool.h>

#include "common/rpc/server.h"

/*
 * The standard health service (grpc.health.v1): Check, and Watch which streams every change. All functions
 * are thread-safe.
 */
struct health;

/* `services` are the names that clients may ask for besides "" (the whole server). They end with NULL and
 * must outlive the service. No name serves yet. NULL without memory. */
struct health *health_create(const char *const *services);
/* After the server is closed. NULL is allowed. */
void health_free(struct health *health);

/* Says for all names, "" too, whether they serve. */
void health_set(struct health *health, bool serving);

struct rpc_service health_service(struct health *health);

#endif
