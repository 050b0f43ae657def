#ifndef MILLRACE_COORDINATOR_SCHEDULER_SCHEDULER_H
#define MILLRACE_COORDINATOR_SCHEDULER_SCHEDULER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/status.h"
#include "coordinator/request/request.h"
#include "coordinator/scheduler/replica.h"

/* Who runs what: accepted requests, their queue, and the replicas (the essay is in scheduler.c). Thread-safe.
 */
struct scheduler;

/* ---- what happens, for whoever counts it ---- */

enum scheduler_event_kind {
    EVENT_ACCEPTED,
    EVENT_REFUSED,     /* there is no run; status and refusal say why */
    EVENT_STARTED,     /* handed to a replica, for the first time or again */
    EVENT_FIRST_FRAME, /* the frame of the first step is there; the step's own event follows */
    EVENT_STEP,
    EVENT_PREEMPTED, /* its place went to a higher class; it is in the queue */
    EVENT_MOVED,     /* its replica drains; it is in the queue */
    EVENT_LOST,      /* its replica is gone; it is in the queue */
    EVENT_ENDED,     /* status: OK finished, CANCELLED, else failed */
};

/* Why a request is not taken. */
enum refusal {
    REFUSED_QUEUE_REQUESTS,
    REFUSED_QUEUE_TOKENS,
    REFUSED_CLIENT, /* one client's own limits */
    REFUSED_DEADLINE,
    REFUSED_SHUTDOWN,
    REFUSED_NO_REPLICA,
    REFUSED_MEMORY,
    REFUSAL_COUNT
};

struct scheduler_event {
    enum scheduler_event_kind kind;
    double now;            /* monotonic seconds */
    const struct run *run; /* NULL: REFUSED. Its times (accepted_at, ...) are set as far as they are known */
    const struct replica *replica; /* that it runs or ran on; NULL: none */
    enum request_class class;
    enum status status;
    enum refusal refusal;
    double step_seconds; /* STEP: of the whole batch's step */
    size_t n_changed;    /* STEP: positions of this run */
    bool again;          /* STARTED: not for the first time */
};

/* Called under the lock: must only count; it may not block nor call the scheduler. */
struct scheduler_observer {
    void (*event)(void *context, const struct scheduler_event *event); /* NULL: nobody listens */
    void *context;
};

enum { SCHEDULER_PATIENCE = 8, SCHEDULER_MEMORY_SECONDS = 600 };

struct scheduler_options {
    int max_queue;                          /* requests that wait */
    int64_t max_queue_tokens;               /* their positions; 0: no bound */
    int64_t client_requests, client_tokens; /* queued and running of one client; 0: no limit */
    int n_ids;                              /* of the model: every id that a replica reports is below */
    /* A replica whose pulses stand still or stay away for so long is lost. While it loads, and for one that
     * does not pulse but has work and says nothing, it is SCHEDULER_PATIENCE times as long. */
    double silence_seconds;
    /* Something changed that the process may care about: readiness, or the last request ended. Called under
     * the lock. May be NULL. */
    void (*changed)(void *context);
    void *context;
    struct scheduler_observer observer;
};

struct scheduler *scheduler_create(const struct scheduler_options *options);
/* No request and no connection may be left. NULL is allowed. */
void scheduler_free(struct scheduler *scheduler);

/* ---- clients ---- */

/*
 * Accepts a request and takes it over: the sink hears "accepted" first and "ended" last, exactly once each
 * (request_sink.h), perhaps before this returns. Or refuses it and calls nothing; the request is then still
 * the caller's. UNAVAILABLE: the coordinator drains, or every replica has failed (with the reason of the
 * last); RESOURCE_EXHAUSTED, with error->retry_after_ms: the queue is full, or the client has too much here;
 * DEADLINE_EXCEEDED: it could not be finished in time. Automatic steps are chosen here
 * (scheduler_admission.c). While no replica is there and none has failed, requests wait: replicas may come at
 * any time. *number: for scheduler_cancel; it is set before anything is told.
 */
enum status scheduler_accept(struct scheduler *scheduler, struct request *request,
                             const struct request_sink *sink, void *sink_context, uint64_t *number,
                             struct error *error);

/* The client is gone: the request ends as CANCELLED. Nothing happens when it has ended already. */
void scheduler_cancel(struct scheduler *scheduler, uint64_t number);

/* ---- replicas; `connection` is the identity of one stream ---- */

struct replica_hello {
    const char *name, *backend;
    uint32_t n_ranks;
};

/* ALREADY_EXISTS when a replica of that name is attached, INVALID_ARGUMENT for a bad name. */
enum status scheduler_attach(struct scheduler *scheduler, const struct replica_hello *hello,
                             const struct replica_connection *operations, void *connection,
                             struct error *error);
void scheduler_ready(struct scheduler *scheduler, void *connection, const struct replica_capacity *capacity);
/* It says that it failed, and why. Before it was ready: it failed to start. Later: it is lost, as by
 * scheduler_detach; the connection then belongs to no replica any more. */
void scheduler_failed(struct scheduler *scheduler, void *connection, const char *reason);
/* A rank above 0 of the replica of that name says why the replica is about to break. Before it was ready: as
 * scheduler_failed. Later: kept as the reason of the loss that follows; by itself it changes nothing. Nothing
 * where no such replica is attached. */
void scheduler_explain(struct scheduler *scheduler, const char *name, const char *reason);
/* An error means that the replica cannot be trusted: hang up. A report of a run that has ended or moved
 * is nothing. */
enum status scheduler_report(struct scheduler *scheduler, void *connection, const struct step_report *report,
                             struct error *error);
void scheduler_rejected(struct scheduler *scheduler, void *connection, uint64_t ticket, enum status status,
                        const char *reason);
void scheduler_heard(struct scheduler *scheduler, void *connection); /* any message: it lives */
void scheduler_pulse(struct scheduler *scheduler, void *connection, const struct replica_pulse *pulse);
/* The connection is gone: its runs go back to the front of the queue, with their last frames. `clean`: the
 * replica said so. */
void scheduler_detach(struct scheduler *scheduler, void *connection, bool clean, const char *reason);

/* It was told to end by somebody else: as scheduler_drain, but it may be started again. */
void scheduler_leaving(struct scheduler *scheduler, void *connection);

/*
 * Forgets a replica that somebody else started, if it is lost: it then need not come back for the cluster to
 * be whole. It happens by itself SCHEDULER_MEMORY_SECONDS after the loss; one that comes later is a new one.
 * false: there is no such.
 */
bool scheduler_forget(struct scheduler *scheduler, const char *name);

/*
 * Drains the replica of that name: nothing new goes there, what it runs moves where there is room, and it
 * ends. A supervised one stays down unless `restart`, which also releases one that is down. NOT_FOUND, also
 * of one that is lost and that somebody else started; FAILED_PRECONDITION while it starts. *left: runs
 * that it still runs; *supervised: we start it.
 */
enum status scheduler_drain(struct scheduler *scheduler, const char *name, bool restart, bool *supervised,
                            uint32_t *left, struct error *error);

/* ---- who starts replicas ---- */

/* Is it to stay down? */
bool scheduler_is_supervised(struct scheduler *scheduler, const char *name);
bool scheduler_is_held(struct scheduler *scheduler, const char *name);
/* It ended because it was drained, which was no failure: true once. It then counts as drained, or as
 * starting. */
bool scheduler_take_drained(struct scheduler *scheduler, const char *name);

/* A replica that we start: it counts as starting until it is given up. */
void scheduler_expect(struct scheduler *scheduler, const char *name);
/* It died and will be started again. Returns whether it had been ready since it was last started;
 * *n_fruitless: how often in a row it was lost with work and without a step. */
bool scheduler_restarting(struct scheduler *scheduler, const char *name, const char *reason,
                          int *n_fruitless);
/* It was hung up on for its silence: true once, to whoever can kill it. */
bool scheduler_take_stuck(struct scheduler *scheduler, const char *name);
bool scheduler_is_attached(struct scheduler *scheduler, const char *name);
/* It keeps dying. `reason`: why; NULL: as it last said, or was last said of it. When no other is left,
 * those who wait are told so; it may still come back. */
void scheduler_give_up(struct scheduler *scheduler, const char *name, const char *reason);

/* ---- wake-ups ---- */

/*
 * One decision a wake-up. Every event may change who can run where. A thread that handles several events in a
 * row (messages that came together) calls scheduler_hold before the first and scheduler_settle after the
 * last: between the two events only note that there is something to decide, whatever thread they come from,
 * and settle decides once. Without a hold an event decides before its function returns.
 * scheduler_is_undecided tells whether it pays to look for more events first; whoever does must not wait for
 * them.
 */
void scheduler_hold(struct scheduler *scheduler);
bool scheduler_is_undecided(const struct scheduler *scheduler);
void scheduler_settle(struct scheduler *scheduler);

/* ---- the process ---- */

/* Hangs up on replicas that hang, and puts their runs back at once; forgets those that were lost long
 * ago. Call about once a second: when two seconds or more pass between two calls, this program was itself
 * stopped, and counts that time for nobody. */
void scheduler_check_silence(struct scheduler *scheduler);

void scheduler_refuse_new(struct scheduler *scheduler);
/* No request is left whose client has not been told the end. */
bool scheduler_is_idle(struct scheduler *scheduler);
/* Ends every request with UNAVAILABLE. */
void scheduler_end_all(struct scheduler *scheduler, const char *reason);
/* "You leave": tells the replicas that we started to finish what they run and to end. Others are not ours to
 * end. */
void scheduler_drain_supervised(struct scheduler *scheduler);
/* "I leave": hangs up on every replica with UNAVAILABLE and the reason. One that somebody else started lives
 * on and attaches to the coordinator that comes next at our address. */
void scheduler_hang_up_all(struct scheduler *scheduler, const char *reason);

enum outlook { OUTLOOK_WAITING, OUTLOOK_READY, OUTLOOK_HOPELESS };
/* READY: a replica is. HOPELESS: there were replicas and all have failed; `reason` (of `size` bytes) says why
 * the last did. */
enum outlook scheduler_outlook(struct scheduler *scheduler, char *reason, size_t size);

/* Would a request that came now be taken, and run? false: `reason` (of `size` bytes) says why not. What
 * health and readiness tell the outside. */
bool scheduler_is_ready(struct scheduler *scheduler, char *reason, size_t size);

struct scheduler_totals {
    uint32_t queued, running;
    int64_t queued_tokens, running_tokens; /* positions */
    uint64_t accepted, finished, cancelled, failed;
    uint64_t preempted, moved, lost; /* times that a run went back to the queue */
    /* Of the steps that replicas took while somebody waited: positions, and what they could have been. */
    uint64_t full_tokens, full_capacity;
    uint64_t refused[REFUSAL_COUNT];
};
void scheduler_totals(struct scheduler *scheduler, struct scheduler_totals *totals);
/* Visits every replica under the lock. */
void scheduler_each_replica(struct scheduler *scheduler, void (*visit)(void *context, const struct replica *),
                            void *context);

#endif
