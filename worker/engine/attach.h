#ifndef MILLRACE_WORKER_ENGINE_ATTACH_H
#define MILLRACE_WORKER_ENGINE_ATTACH_H

#include "common/rpc/client.h"
#include "worker/engine/engine.h"

/*
 * A replica's line to its coordinator (rank 0; proto/replica.proto): a thread that reads the coordinator's
 * messages into the engine's mailbox, and the engine's sink, which writes reports.
 *
 *   connecting → attached [Hello sent; Welcome read] → lost [the stream ended] → connecting ...
 *                                                    → ended [after attach_end]
 *
 * The line is opened before the model is loaded, and a pulse goes over it every second from the first on:
 * what the meters say, so that the coordinator can tell slow from hung at any time. Ready follows when the
 * replica is.
 *
 * A coordinator that hung up because nothing moved here is called again when something has moved; if nothing
 * does for `hung_seconds` more, `hung` is called, whose business it is to end this replica, so that its
 * launcher starts it again.
 *
 * A coordinator that is lost takes its sequences with it: it hands them to another replica, or to this one
 * again, from their last frames. So the engine is told to drop them, and what it still says about them is not
 * sent: every line has a number, and reports go only to the line that their sequence came by.
 */
struct attach_options {
    const char *coordinator;             /* address */
    const struct rpc_security *security; /* how it is called; NULL: in the clear, as nobody */
    const char *replica;                 /* name */
    const char *fingerprint;
    const char *backend;
    int n_ranks;
    const struct meters *meters; /* outlives the line */
    double hung_seconds;
    void (*hung)(void); /* may be NULL; called on the line's thread */
};

struct attach;

/* Starts the thread; it connects, and connects again whenever the line is lost, 0.2 to 1 seconds apart. */
enum status attach_start(const struct attach_options *options, struct mailbox *mailbox,
                         struct attach **attach, struct error *error);

/* Every rank has loaded and a warm-up step is done: tells the coordinator, on this line and all that follow.
 */
void attach_ready(struct attach *attach, struct plan_limits limits, bool run_ahead, double load_seconds);

/* Tells the coordinator that this replica is to end, so that it sends nothing more here. From any thread. */
void attach_leaving(struct attach *attach);

/* The engine's sink on this line. */
struct engine_sink attach_sink(struct attach *attach);

/* Sends what is queued, closes the line, joins the thread and frees everything. `why`: what failed, which the
 * coordinator is told first (before attach_ready: why there will be no replica); this waits some seconds for
 * a line to say it on. NULL: nothing failed. A NULL attach is allowed. */
void attach_end(struct attach *attach, const struct error *why);

#endif
