/* Which open calls have waited too long: for their first message, or for a client that does not read. */
#include <math.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/rpc/call_state.h"

#define SWEEP_SECONDS 1.0
#define SHORT_STALL_SECONDS 1.0 /* while too many bytes wait in all calls together */

static double expire(struct call_host *host)
{
    struct error error;
    while (host->waiting.first) {
        struct rpc_call *call = host->waiting.first;
        double left = call->waits_until - clock_seconds();
        if (left > 0)
            return left;
        call_end_waiting(call);
        error_set(&error, STATUS_DEADLINE_EXCEEDED, "no message has come within %g s", host->request_seconds);
        rpc_fail(call, &error);
    }
    return INFINITY;
}

/* Has the client not taken the message in flight for so long? */
static bool stands_still(struct rpc_call *call, double now, double seconds)
{
    pthread_mutex_lock(&call->mutex);
    bool still = call->sending && !call->closed && now - call->sending_since > seconds;
    pthread_mutex_unlock(&call->mutex);
    return still;
}

static void sweep(struct call_host *host, double now)
{
    bool crowded = atomic_load(&host->queued_bytes) > host->max_all_queued_bytes;
    double shorter = crowded ? fmin(SHORT_STALL_SECONDS, host->stall_seconds) : host->stall_seconds;
    for (struct rpc_call *call = host->open.first, *next; call; call = next) {
        next = call->next_open;
        bool shared = !call_has_own_bound(call);
        if (stands_still(call, now, shared ? shorter : host->stall_seconds))
            call_cut(call, STATUS_RESOURCE_EXHAUSTED,
                     crowded && shared
                         ? "too many messages wait for clients that do not read, this one among them"
                         : "the client does not read what is sent");
    }
    host->swept_at = now;
}

double call_watch(struct call_host *host)
{
    double now = clock_seconds(), pause = fmin(SWEEP_SECONDS, host->stall_seconds / 4);
    if (host->open.first && now - host->swept_at >= pause)
        sweep(host, now);
    return fmin(expire(host), host->open.first ? pause : INFINITY);
}

void call_recheck(struct call_host *host)
{
    struct error error;
    for (struct rpc_call *call = host->open.first, *next; call; call = next) {
        next = call->next_open;
        if (!call->admitted || !call->method || host->may_stay(host, call, call->method, &error))
            continue;
        log_warning("ended a call of %s from %s: %s", call->caller.name, call->peer.address, error.text);
        call_cut(call, error.status, error.text);
    }
}
