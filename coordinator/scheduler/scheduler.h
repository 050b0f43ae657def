#ifndef MILLRACE_COORDINATOR_SCHEDULER_SCHEDULER_H
#define MILLRACE_COORDINATOR_SCHEDULER_SCHEDULER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/status.h"
#include "coordinator/request/request.h"
#include "coordinator/scheduler/replica.h"

/* The scheduler has the accepted requests, their queue and the replicas, and decides what runs where.
 * scheduler.c explains how. Thread-safe. */
struct scheduler;

/* ---- what happens, for an observer that counts it ---- */

enum scheduler_event_kind {
    EVENT_ACCEPTED,
    EVENT_REFUSED,     /* the event has no run; status and refusal say why */
    EVENT_STARTED,     /* the run was sent to a replica, for the first time or again */
    EVENT_FIRST_FRAME, /* the frame of the first step has come; the event of that step follows */
    EVENT_STEP,
    EVENT_PREEMPTED, /* a run of a higher class displaced it; it is in the queue */
    EVENT_MOVED,     /* its replica drains; it is in the queue */
    EVENT_LOST,      /* its replica is gone; it is in the queue */
    EVENT_ENDED,     /* status: OK finished, CANCELLED, else failed */
};

/* Why a request is not accepted. */
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
    const struct run *run; /* NULL with REFUSED. Its times (accepted_at, ...) are set as far as known */
    const struct replica *replica; /* where the run is or was; NULL: nowhere */
    enum request_class class;
    enum status status;
    enum refusal refusal;
    double step_seconds; /* STEP: time of the whole batch's step */
    size_t n_changed;    /* STEP: how many positions of this run changed */
    bool again;          /* STARTED: the run had been started before */
};

/* The scheduler calls it with its lock held: it must only count, and neither block nor call the scheduler. */
struct scheduler_observer {
    void (*event)(void *context, const struct scheduler_event *event); /* NULL: nobody listens */
    void *context;
};

enum { SCHEDULER_PATIENCE = 8, SCHEDULER_MEMORY_SECONDS = 600 };

struct scheduler_options {
    int max_queue;                          /* how many runs may wait */
    int64_t max_queue_tokens;               /* how many positions may wait; 0: no bound */
    int64_t client_requests, client_tokens; /* of one client, queued and running; 0: no limit */
    int n_ids;                              /* of the model: ids from replicas must be below it */
    /* A replica is lost when its pulses show no progress, or do not come, for so long. The time is
     * SCHEDULER_PATIENCE times as long while a replica loads, and for one that sends no pulses but has work
     * and says nothing. */
    double silence_seconds;
    /* Tells the process that readiness may have changed, or that the last request has ended. The scheduler
     * calls it with its lock held. May be NULL. */
    void (*changed)(void *context);
    void *context;
    struct scheduler_observer observer;
};

struct scheduler *scheduler_create(const struct scheduler_options *options);
/* Call it when no request and no connection is left. NULL is allowed. */
void scheduler_free(struct scheduler *scheduler);

/* ---- clients ---- */

/*
 * Accepts a request and takes it over. The sink hears "accepted" first and "ended" last, exactly once each
 * (request_sink.h), perhaps before this function returns. Or refuses the request and calls nothing; the
 * request then remains the caller's.
 *
 *     UNAVAILABLE         the coordinator shuts down, or every replica has failed (with the last one's
 * reason) RESOURCE_EXHAUSTED  the queue is full, or the client has too much here, or there is no memory; for
 * the first two error->retry_after_ms is set INVALID_ARGUMENT    the text is longer than all that its client
 * may have DEADLINE_EXCEEDED   the request could not be finished in time
 *
 * This function also chooses automatic steps (scheduler_admission.c). While there is no replica and none has
 * failed, requests wait: replicas may come at any time. *number is for scheduler_cancel; it is set before the
 * sink hears anything.
 */
enum status scheduler_accept(struct scheduler *scheduler, struct request *request,
                             const struct request_sink *sink, void *sink_context, uint64_t *number,
                             struct error *error);

/* The client is gone: the request ends as CANCELLED. Nothing happens when it has ended already. */
void scheduler_cancel(struct scheduler *scheduler, uint64_t number);

/* ---- replicas; `connection` identifies one stream ---- */

struct replica_hello {
    const char *name, *backend;
    uint32_t n_ranks;
    const char *launch; /* what tells its processes from others (replica.proto); NULL is as "" */
};

/* ALREADY_EXISTS when a replica of that name is attached, INVALID_ARGUMENT for a bad name,
 * FAILED_PRECONDITION when we start the replica of that name and this is not the process that we started. */
enum status scheduler_attach(struct scheduler *scheduler, const struct replica_hello *hello,
                             const struct replica_connection *operations, void *connection,
                             struct error *error);
void scheduler_ready(struct scheduler *scheduler, void *connection, const struct replica_capacity *capacity);
/* The replica says that it failed, and why. Before it was ready, it has failed to start. Later, it is lost as
 * by scheduler_detach, and the connection belongs to no replica any more. */
void scheduler_failed(struct scheduler *scheduler, void *connection, const char *reason);
/* The replica is none that could run our requests, such as one of another model; the caller hangs up. It
 * counts as failed. One that somebody else started does not count among those that requests can hope for:
 * they wait as if it were not there. */
void scheduler_refused(struct scheduler *scheduler, void *connection, const char *reason);
/* A rank above 0 of the replica of that name says why the replica is about to break. Before the replica was
 * ready, this is as scheduler_failed. Later, the scheduler only notes the reason for the loss that follows.
 * Nothing happens when no such replica is attached, or it is of another launch. */
void scheduler_explain(struct scheduler *scheduler, const char *name, const char *launch, const char *reason);
/* An error means that the replica cannot be trusted: hang up. A report of a run that has ended or moved is
 * ignored. */
enum status scheduler_report(struct scheduler *scheduler, void *connection, const struct step_report *report,
                             struct error *error);
void scheduler_rejected(struct scheduler *scheduler, void *connection, uint64_t ticket, enum status status,
                        const char *reason);
void scheduler_heard(struct scheduler *scheduler, void *connection); /* it sent any message, so it lives */
void scheduler_pulse(struct scheduler *scheduler, void *connection, const struct replica_pulse *pulse);
/* The connection is gone. Its runs go back to their places in the queue, as of their last frames. `clean`:
 * the replica had said that it leaves. */
void scheduler_detach(struct scheduler *scheduler, void *connection, bool clean, const char *reason);

/* Somebody else has told the replica to end. It drains as by scheduler_drain, but may be started again. */
void scheduler_leaving(struct scheduler *scheduler, void *connection);

/*
 * Forgets a replica that somebody else started, if it is lost: then the cluster is whole without it. The
 * scheduler forgets it by itself SCHEDULER_MEMORY_SECONDS after the loss. If the replica comes later, it
 * counts as a new one. false: there is no such replica.
 */
bool scheduler_forget(struct scheduler *scheduler, const char *name);

/*
 * Drains the replica of that name: it gets no new runs, its runs move where there is room, and it ends. A
 * supervised replica then stays down, unless `restart` is true. With `restart`, a replica that is down
 * already may be started again. NOT_FOUND: there is no such replica, or it is lost and somebody else started
 * it. FAILED_PRECONDITION: it is in no state to be drained, for example while it starts. *left: how many runs
 * it still has. *supervised: we start it.
 */
enum status scheduler_drain(struct scheduler *scheduler, const char *name, bool restart, bool *supervised,
                            uint32_t *left, struct error *error);

/* ---- for the supervision, which starts replicas ---- */

/* Do we start it? */
bool scheduler_is_supervised(struct scheduler *scheduler, const char *name);
/* Must it stay down until somebody releases it? */
bool scheduler_is_held(struct scheduler *scheduler, const char *name);
/* Did it end because it was drained, which is no failure? True once. The replica then counts as drained, or
 * as starting if it need not stay down. */
bool scheduler_take_drained(struct scheduler *scheduler, const char *name);

/* We start this replica from now on. A new one counts as starting. */
void scheduler_expect(struct scheduler *scheduler, const char *name);
/* A process is started for it now, and only who shows `launch` is that process. Whoever has the name is hung
 * up on. */
void scheduler_launching(struct scheduler *scheduler, const char *name, const char *launch);
/* It died and will be started again. Returns whether it had been ready since it was last started.
 * *n_fruitless: how many times in a row it was lost while it had runs and had not taken a step. */
bool scheduler_restarting(struct scheduler *scheduler, const char *name, const char *reason,
                          int *n_fruitless);
/* Did we hang up on it because it was silent? True once; the caller then kills it. */
bool scheduler_take_stuck(struct scheduler *scheduler, const char *name);
bool scheduler_is_attached(struct scheduler *scheduler, const char *name);
/* It keeps dying: it counts as failed. `reason`: why; NULL: its last error. When every replica has failed or
 * is drained, the requests that wait fail. This replica may still come back. */
void scheduler_give_up(struct scheduler *scheduler, const char *name, const char *reason);

/* ---- wake-ups ---- */

/*
 * One decision for several events. Every event may change what can run where. A thread that handles several
 * events in a row (messages that came together) calls scheduler_hold before the first and scheduler_settle
 * after the last. Between the two, events from any thread only note that there is something to decide, and
 * scheduler_settle decides once. Without a hold, an event decides before its function returns.
 * scheduler_is_undecided tells a thread whether it pays to look for more events before it settles. The thread
 * must not wait for them.
 */
void scheduler_hold(struct scheduler *scheduler);
bool scheduler_is_undecided(const struct scheduler *scheduler);
void scheduler_settle(struct scheduler *scheduler);

/* ---- the process ---- */

/* Hangs up on replicas that hang, and puts their runs back at once. Forgets replicas that were lost long ago.
 * Call it about once a second: when two seconds or more pass between two calls, this program was itself
 * stopped, and no replica is blamed for that time. */
void scheduler_check_silence(struct scheduler *scheduler);
/* Call it in place of that while nobody reads what replicas say: the time since the last of these calls does
 * not count as their silence. */
void scheduler_excuse_silence(struct scheduler *scheduler);

void scheduler_refuse_new(struct scheduler *scheduler);
/* Has every client been told the end of its request? */
bool scheduler_is_idle(struct scheduler *scheduler);
/* Ends every request with UNAVAILABLE. */
void scheduler_end_all(struct scheduler *scheduler, const char *reason);
/* Tells the replicas that we started to finish their runs and to end. We do not end others. */
void scheduler_drain_supervised(struct scheduler *scheduler);
/* Hangs up on every replica with UNAVAILABLE and the reason, because we leave. A replica that somebody else
 * started lives on, and attaches to the next coordinator at our address. */
void scheduler_hang_up_all(struct scheduler *scheduler, const char *reason);

enum outlook { OUTLOOK_WAITING, OUTLOOK_READY, OUTLOOK_HOPELESS };
/* READY: a replica is ready. HOPELESS: there were replicas, and all have failed; `reason` (of `size` bytes)
 * says why the last one did. */
enum outlook scheduler_outlook(struct scheduler *scheduler, char *reason, size_t size);

/* Would a request that came now be accepted, and run? false: `reason` (of `size` bytes) says why not. Health
 * and readiness tell this to the outside. */
bool scheduler_is_ready(struct scheduler *scheduler, char *reason, size_t size);

struct scheduler_totals {
    uint32_t queued, running;
    int64_t queued_tokens, running_tokens; /* positions */
    uint64_t accepted, finished, cancelled, failed;
    uint64_t preempted, moved, lost; /* how many times a run went back to the queue */
    /* Of all steps that replicas took while a run waited: the positions that were in them, and the positions
     * that would have fitted. */
    uint64_t full_tokens, full_capacity;
    uint64_t refused[REFUSAL_COUNT];
};
void scheduler_totals(struct scheduler *scheduler, struct scheduler_totals *totals);
/* Visits every replica under the lock. */
void scheduler_each_replica(struct scheduler *scheduler, void (*visit)(void *context, const struct replica *),
                            void *context);

#endif
