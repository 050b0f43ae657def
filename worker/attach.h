#ifndef MILLRACE_WORKER_ATTACH_H
#define MILLRACE_WORKER_ATTACH_H

#include "worker/engine.h"

/*
 * A replica's line to its coordinator (rank 0; proto/replica.proto): a thread that reads the coordinator's messages into the
 * engine's mailbox, and the engine's sink, which writes reports.
 *
 *   connecting → attached [Hello, Ready sent; Welcome read] → lost [the stream ended] → connecting ...
 *                                                           → ended [after attach_end]
 *
 * A coordinator that is lost takes its sequences with it: it hands them to another replica, or to this one again, from their
 * last frames. So the engine is told to drop them, and what it still says about them is not sent: every line has a
 * number, and reports go only to the line that their sequence came by.
 */
struct attach_options {
    const char *coordinator; /* address */
    const char *replica;     /* name */
    const char *fingerprint;
    const char *backend;
    int n_ranks;
    struct plan_limits limits;
    double load_seconds;
};

struct attach;

/* Starts the thread; it connects, and connects again whenever the line is lost, 0.2 to 5 seconds apart. */
enum status attach_start(const struct attach_options *options, struct mailbox *mailbox,
                         struct attach **attach, struct error *error);

/* The engine's sink on this line. */
struct engine_sink attach_sink(struct attach *attach);

/* Sends what is queued, closes the line, joins the thread and frees everything. NULL is allowed. */
void attach_end(struct attach *attach);

/* Instead of attach_start, for a replica that could not load: tells the coordinator why, waiting for at most some seconds. */
void attach_report_failure(const struct attach_options *options, int rank, const struct error *error);

#endif
