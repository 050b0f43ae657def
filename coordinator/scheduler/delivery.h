#ifndef MILLRACE_COORDINATOR_SCHEDULER_DELIVERY_H
#define MILLRACE_COORDINATOR_SCHEDULER_DELIVERY_H

#include <stdbool.h>

#include "common/status.h"
#include "coordinator/request/request.h"
#include "coordinator/scheduler/ending.h"

/*
 * How events reach the sink of a request: they are queued under the scheduler's lock, and handed over without
 * it.
 *
 * Why. Handing over means rendering text, packing messages and writing log lines. Under the lock that would
 * hold up every other request and replica.
 *
 * How. Each request has a queue of events. A thread that holds the scheduler's lock appends copies to it,
 * which costs an allocation and a memcpy. The first thread that appends to a request that no thread delivers
 * claims it: it puts the request into the scheduler's list. When that thread unlocks (scheduler_unlock), it
 * takes the list along, unlocks, hands over what is queued, locks again, and lets go of the requests that
 * have no new events. No thread exists for this alone.
 *
 * Invariants, all under the lock:
 *
 * 1. An accepted request with queued events is claimed. So the scheduler's list is empty whenever the lock is
 *    free.
 *
 * 2. A claimed request belongs to one thread, the one that claimed it. Only that thread lets go of it, and
 *    only with the lock held and the queue empty.
 *
 * 3. Only scheduler_end_request appends "ended". It also takes the request's runs out of the run table and
 *    out of all lists. So it does so once, and nothing is appended behind "ended".
 *
 * What follows from them:
 *
 * Order. Events are appended in the order in which they happen, because there is one lock. One thread at a
 * time takes them from the front (2). Between two threads that deliver one after the other the lock changes
 * hands, so a sink needs no lock of its own. "accepted" comes first, because it is queued before any thread
 * can find the request.
 *
 * Exactly once. An event leaves the queue when it is taken, and "ended" is in the queue once (3).
 *
 * Lifetime. The thread that has delivered "ended" frees the request. Nobody else can hold it: none of its
 * runs is in the table (3), and no other thread delivers it (2). What a thread reads of the request while it
 * delivers is constant from the acceptance on, or belongs to a run that has ended, or was copied.
 *
 * Cancellation. scheduler_cancel finds the request and appends "ended", or it finds nothing, because "ended"
 * is queued already. If another thread is delivering, it also delivers "ended", perhaps after
 * scheduler_cancel has returned. The sink's context must live until then.
 *
 * Bound. Events wait only while the thread that has claimed the request is inside a callback, and callbacks
 * do not block. If one blocks all the same, and more than DELIVERY_MOST_BYTES of frames would wait, the
 * request fails, as it does when its reader is too slow.
 *
 * Idle. A request counts (scheduler_is_idle) until its "ended" has been delivered.
 */
enum { DELIVERY_MOST_BYTES = 16 << 20 };

/* The events of one request that have not been handed over yet. */
struct delivery;

/* Requests that one thread has claimed. Zeroed memory is an empty list. */
struct delivery_list {
    struct delivery *first, *last;
};

/* ---- call these before the lock is taken ---- */

/* Queues "accepted" and the frame of step 0, for a request that is not accepted yet. NULL: no memory. */
struct delivery *delivery_create(struct request *request);
void delivery_free(struct delivery *delivery); /* NULL is allowed */

/* ---- with the lock held ---- */

/* The request is accepted: the events that delivery_create queued may be handed over. */
void delivery_accept(struct delivery_list *list, struct request *request);
/* Queues the frame after run->step steps. RESOURCE_EXHAUSTED: there is no memory, or too many bytes wait. */
enum status delivery_frame(struct delivery_list *list, const struct run *run,
                           const struct step_report *report, struct error *error);
/* Queues a move. Without memory the sink does not hear of it. */
void delivery_move(struct delivery_list *list, const struct run *run, enum request_move move,
                   const char *replica);
/* Queues the last event. It needs no memory. `run` is the answer, or the run that ended the request. */
void delivery_end(struct delivery_list *list, const struct run *run, const struct ending *ending);

/* Takes the queued events, so that delivery_hand_over can read them without the lock. */
void delivery_take(struct delivery_list *list);
/* Lets go of the requests that have no new events, and frees those that have ended. Returns how many
 * have ended. */
int delivery_settle(struct delivery_list *list);

/* ---- without the lock ---- */

/* Hands over the events that were taken. */
void delivery_hand_over(const struct delivery_list *list);

#endif
