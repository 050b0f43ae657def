#ifndef MILLRACE_COORDINATOR_SCHEDULER_DELIVERY_H
#define MILLRACE_COORDINATOR_SCHEDULER_DELIVERY_H

#include <stdbool.h>

#include "common/status.h"
#include "coordinator/request/request.h"
#include "coordinator/scheduler/ending.h"

/*
 * How events reach the sink of a request: written down under the scheduler's lock, handed over without it.
 *
 * Why. Handing over means rendering text, packing messages and writing log lines. Under the lock that would
 * hold up every other request and replica.
 *
 * How. Each request has a queue of events. Whoever holds the scheduler's lock appends copies to it, which
 * costs an allocation and a memcpy. The first to append to a request that nobody delivers claims it: the
 * request goes into the list that scheduler_unlock takes along. That unlocks, hands over what is queued,
 * locks again, and lets go of requests with nothing new. There is no thread for it.
 *
 * Invariants, all under the lock:
 *   1. A request with queued events is claimed; so the list is empty whenever the lock is free.
 *   2. A claimed request has one thread: the one that put it into the list. Only that thread lets go of it,
 *      and only with the lock held and the queue empty.
 *   3. "ended" is appended once, by scheduler_end_request, which also takes the request's runs out of the run
 *      table and all lists. So nothing is appended behind it.
 *
 * What follows.
 *   Order: events are appended in the order in which they happened (one lock), and one thread at a time takes
 *   them from the front (2). The lock passes between two threads that deliver one after the other, so a sink
 *   needs no lock of its own. "accepted" is first because it is queued before the request can be found.
 *   Exactly once: an event leaves the queue when it is taken, and "ended" is in it once (3).
 *   Lifetime: who delivers "ended" frees the request. Nobody else can hold it: no run of it is in the table
 * (3), and no other thread delivers it (2). What a sink reads of the request is either constant from
 * acceptance on, or belongs to a run that has ended, or was copied. Cancellation: scheduler_cancel finds the
 * request and appends "ended", or finds nothing because it is there already. When another thread delivers
 * just now, "ended" comes from that one, perhaps after scheduler_cancel has returned; `context` must live
 * until then. Bound: events queue up only while the claiming thread is inside a callback, which does not
 * block. Whatever happens there, more than DELIVERY_MOST_BYTES of one request's frames never wait: it then
 * fails, as with a reader that is too slow. Idle: a request counts (scheduler_is_idle) until its "ended" has
 * been delivered.
 */
enum { DELIVERY_MOST_BYTES = 16 << 20 };

/* What of one request is still to be handed over. */
struct delivery;

/* Those that a thread has claimed. Zeroed memory is an empty list. */
struct delivery_list {
    struct delivery *first, *last;
};

/* ---- before the lock ---- */

/* Of a request that is not accepted yet: queues "accepted" and the frame of step 0. NULL without memory. */
struct delivery *delivery_create(struct request *request);
void delivery_free(struct delivery *delivery); /* NULL is allowed */

/* ---- with the lock held ---- */

/* Lets go what delivery_create has queued: the request is accepted. */
void delivery_accept(struct delivery_list *list, struct request *request);
/* The frame after run->step steps. RESOURCE_EXHAUSTED: there is no memory, or too much waits. */
enum status delivery_frame(struct delivery_list *list, const struct run *run,
                           const struct step_report *report, struct error *error);
/* Without memory the move goes untold. */
void delivery_move(struct delivery_list *list, const struct run *run, enum request_move move,
                   const char *replica);
/* The last event. It needs no memory. `run` is the answer, or the run that ended the request. */
void delivery_end(struct delivery_list *list, const struct run *run, const struct ending *ending);

/* Takes what is queued aside, for delivery_hand_over. */
void delivery_take(struct delivery_list *list);
/* Lets go of those with nothing new, and frees the requests that have ended. Returns how many have. */
int delivery_settle(struct delivery_list *list);

/* ---- without it ---- */

/* Hands over what was taken. */
void delivery_hand_over(const struct delivery_list *list);

#endif
