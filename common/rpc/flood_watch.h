#ifndef MILLRACE_COMMON_RPC_FLOOD_WATCH_H
#define MILLRACE_COMMON_RPC_FLOOD_WATCH_H

#include "common/rpc/connections.h"
#include "common/rpc/traffic.h"

/*
 * Internal to common/rpc: finds the connections that only cost. gRPC 1.51 has no bound for any of this:
 *
 *   bytes in vain   what a connection sends, less what became messages: control frames, headers and data
 *                   without an end, messages that grow beyond the limit. It may have FLOOD_SLACK_BYTES, the
 *                   largest message for each call that waits for one, and FLOOD_BYTES_A_SECOND. What it was
 *                   sent counts too: a reader acknowledges.
 *   calls in vain   that were refused, or that the client gave up within a second: FLOOD_CALLS_A_SECOND.
 *
 * One thread calls these functions.
 */
enum {
    FLOOD_SLACK_BYTES = 16 << 20,
    FLOOD_BYTES_A_SECOND = 128 << 10,
    FLOOD_CALLS_A_SECOND = 1000,
};

struct flood_watch;

struct flood_watch *flood_watch_create(struct traffic *traffic,
                                       size_t max_message_bytes); /* NULL: no memory */
void flood_watch_free(struct flood_watch *watch);                 /* NULL is allowed */

/* `now`: monotonic seconds. Sets is_new of each connection. Calls `hang_up` for each connection that is
 * beyond the limits. */
void flood_watch_look(struct flood_watch *watch, struct connection_list *list, double now,
                      void (*hang_up)(void *context, const struct connection *connection, const char *why),
                      void *context);

#endif
