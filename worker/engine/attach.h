#ifndef MILLRACE_WORKER_ENGINE_ATTACH_H
#define MILLRACE_WORKER_ENGINE_ATTACH_H

#include "common/rpc/client.h"
#include "worker/engine/engine.h"

/*
 * The connection of a replica's leader (rank 0) to the coordinator (proto/replica.proto). One thread reads
 * the coordinator's messages into the engine's mailbox. The engine's sink writes reports to the coordinator.
 *
 *   connecting → attached [Hello sent; Welcome read] → lost [the stream ended] → connecting ...
 *                                                    → ended [after attach_end]
 *
 * The leader connects before the model is loaded. From then on it sends a pulse every second: what the meters
 * say. So the coordinator can tell a slow replica from one that hangs at any time. Ready follows when the
 * replica has loaded.
 *
 * The coordinator ends the connection of a replica in which nothing moves. The leader then waits until
 * something moves, and connects again. If nothing moves for `hung_seconds`, it calls `hung`, which ends the
 * replica, so that its launcher starts it again.
 *
 * When the connection is lost, the coordinator hands its sequences to another replica, or to this one again,
 * from their last frames. So the engine is told to drop them. Reports of a sequence that was dropped must not
 * reach the new connection. Therefore every connection has a number, and a report goes only to the connection
 * by which its sequence came.
 */
struct attach_options {
    const char *coordinator;             /* address */
    const struct rpc_security *security; /* how it is called; NULL: in the clear, as nobody */
    const char *replica;                 /* name */
    const char *launch;                  /* what tells this process from others of that name */
    const char *fingerprint;
    const char *backend;
    int n_ranks;
    const struct meters *meters; /* must outlive the attach */
    double hung_seconds;
    void (*hung)(void); /* may be NULL; called on the thread that reads */
};

struct attach;

/* Starts the thread. It connects, and connects again after 0.2 to 1 seconds whenever the connection is lost.
 */
enum status attach_start(const struct attach_options *options, struct mailbox *mailbox,
                         struct attach **attach, struct error *error);

/* Tells the coordinator, on this connection and on all that follow, that the replica takes sequences. Call it
 * when every rank has loaded and the warm-up step is done. */
void attach_ready(struct attach *attach, struct plan_limits limits, bool run_ahead, double load_seconds);

/* Tells the coordinator that this replica is to end, so that the coordinator sends it nothing more. Any
 * thread. */
void attach_leaving(struct attach *attach);

/* The sink through which the engine reports to the coordinator. */
struct engine_sink attach_sink(struct attach *attach);

/*
 * Sends what is queued, closes the connection, joins the thread and frees everything. A NULL attach is
 * allowed. `why` is what failed, or NULL. With `why` the coordinator is told first; where there is no
 * connection at the moment this waits some seconds for one. Before attach_ready it means that the replica
 * cannot start, after it that the replica is lost.
 */
void attach_end(struct attach *attach, const struct error *why);

#endif
