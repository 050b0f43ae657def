#ifndef MILLRACE_COORDINATOR_SCHEDULER_SCHEDULER_STATE_H
#define MILLRACE_COORDINATOR_SCHEDULER_SCHEDULER_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "coordinator/scheduler/accounts.h"
#include "coordinator/scheduler/delivery.h"
#include "coordinator/scheduler/policy.h"
#include "coordinator/scheduler/queue.h"
#include "coordinator/scheduler/replica_set.h"
#include "coordinator/scheduler/run_table.h"
#include "coordinator/scheduler/scheduler.h"

/*
 * Internal to scheduler*.c: the state that the mutex guards, and the functions that the files share. Except
 * for the first two, call these functions with the lock held.
 */

struct scheduler {
    struct scheduler_options options;
    pthread_mutex_t mutex;
    struct run_table runs;
    int n_requests; /* those whose end has not been delivered */
    struct request_id_source ids;
    struct delivery_list claimed; /* the thread that holds the lock delivers them */
    struct queue queue;
    struct accounts accounts;
    int starts; /* policy_decision.starts of the last decision */
    struct replica_set replicas;
    int n_suspects;                 /* suspect runs, waiting or running (scheduler_suspects.c) */
    bool has_trial;                 /* one replica is closed to all but a suspect run */
    bool refusing;                  /* no new requests: the coordinator shuts down */
    atomic_bool is_undecided;       /* something has changed since the last decision */
    atomic_int n_held;              /* threads that settle later (scheduler_hold) */
    double mean_run_seconds;        /* of finished requests; recent ones weigh more; 0: none yet */
    struct scheduler_totals totals; /* only the counts that never shrink */
    double measured_at;             /* when a replica's step was measured last; 0: never */
    double checked_at;              /* when silence was checked last; 0: never */
};

/* Every function of scheduler.h begins and ends with these. scheduler_unlock decides if something has
 * changed, and hands over what was queued for clients (delivery.h) without the lock. */
void scheduler_lock(struct scheduler *scheduler);
void scheduler_unlock(struct scheduler *scheduler);

/* ---- scheduler_events.c: the process, the observer and the sinks hear of events ---- */

/* Tells the process that readiness may have changed, or that no request is left. */
void scheduler_note_change(struct scheduler *scheduler);
/* Tells the observer, and the run's sink if the event is a move. It sets `now`, and of an event with a run
 * `class`, and `replica` if the caller left it NULL. */
void scheduler_tell(struct scheduler *scheduler, struct scheduler_event event);

/* ---- scheduler_endings.c: how requests end ---- */

/* Takes the run off its replica, or out of the queue. */
void scheduler_take_off(struct scheduler *scheduler, struct run *run);
/* The only way in which a request ends; one of its runs is the cause. Tells replicas that have runs of it to
 * drop them, and queues the end for its client. The request is freed once the end has been delivered. */
void scheduler_end_request(struct scheduler *scheduler, const struct run *run, const struct ending *ending);
void scheduler_fail_request(struct scheduler *scheduler, const struct run *run, enum status status,
                            const char *reason);
/* The last replica, if there are replicas and all have failed or are drained. NULL: a replica may still run
 * something. A replica that was refused does not count: another may come as if it had never been there. */
const struct replica *scheduler_last_hope_lost(const struct scheduler *scheduler);
/* Fails all requests that wait, if scheduler_last_hope_lost. */
void scheduler_fail_without_hope(struct scheduler *scheduler);

enum status scheduler_no_replica_error(const struct replica *failed, struct error *error);

/* ---- scheduler_admission.c: which requests are accepted ---- */

/* May the request enter? Checks that we do not shut down, that not every replica has failed, and that its
 * client's account and the queue have room. Sets `refusal` with a status other than OK. */
enum status scheduler_admit(const struct scheduler *scheduler, const struct request *request,
                            enum refusal *refusal, struct error *error);
/* Estimates how long the request will take. Chooses automatic steps, sets request->estimated_seconds, and
 * refuses a request that cannot be finished by its deadline. Sets `refusal` with a status other than OK. */
enum status scheduler_estimate(const struct scheduler *scheduler, struct request *request,
                               enum refusal *refusal, struct error *error);

/* ---- scheduler_dispatch.c: which run goes where ---- */

/* While starts pass over due runs of lower classes, every fourth start belongs to one of those. */
extern const struct policy_rules scheduler_rules;

/* Call it when something has changed. The next unlock, or scheduler_settle, then sends waiting runs to
 * replicas with room. */
void scheduler_dispatch(struct scheduler *scheduler);
/* Does that at once. */
void scheduler_decide(struct scheduler *scheduler);
/* Fails the requests that wait and are longer than any ready replica takes. */
void scheduler_fail_too_long(struct scheduler *scheduler);

/* ---- scheduler_moves.c: a run's way to a replica and back ---- */

/* Takes the run out of the queue, and sends it to the replica, which must have room. */
void scheduler_start_on(struct scheduler *scheduler, struct run *run, struct replica *replica);
/* Puts the run back where it was in the queue, as it is after its last step. `why`: EVENT_PREEMPTED, _MOVED
 * or _LOST. */
void scheduler_put_back(struct scheduler *scheduler, struct run *run, enum scheduler_event_kind why);
/* Puts back all runs of a replica. `loss`: why the replica was lost; NULL: it was not lost. A run that loses
 * too many replicas without a step in between counts as the cause: its request fails with the last reason. */
void scheduler_put_back_all(struct scheduler *scheduler, struct replica *replica, const char *loss);

/* ---- scheduler_suspects.c: requests that may be what kills replicas ---- */

/* Chooses the one replica that tries suspect runs, and starts one there once the replica is empty. Call it
 * before the policy decides. */
void scheduler_try_suspect(struct scheduler *scheduler);

/* ---- scheduler_replicas.c: how replicas come, speak and go ---- */

/* NULL: the connection belongs to no replica any more. */
struct replica *scheduler_replica_of_connection(const struct scheduler *scheduler, const void *connection);
/* The replica's connection is gone, or is of no use any more. Its runs go back to the queue. A replica that
 * somebody else started and that left cleanly is forgotten, and freed. */
void scheduler_lose_connection(struct scheduler *scheduler, struct replica *replica, bool clean,
                               const char *reason);
/* Did somebody else start it, and is its connection gone? */
bool scheduler_is_lost_outsider(const struct replica *replica);
/* Forgets those that were lost SCHEDULER_MEMORY_SECONDS before `now` (monotonic seconds), or earlier. */
void scheduler_forget_long_lost(struct scheduler *scheduler, double now);

/* ---- scheduler_liveness.c: which of them live ---- */

/* When the replica counts as lost if it remains silent; monotonic seconds. INFINITY: never. */
double scheduler_silent_until(const struct replica *replica, double silence_seconds);

#endif
