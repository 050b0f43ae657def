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
 * Internal to scheduler*.c: what is behind the mutex, and what the files do for each other. Every function
 * here but the first two is called with the lock held.
 */

struct scheduler {
    struct scheduler_options options;
    pthread_mutex_t mutex;
    struct run_table runs;
    int n_requests; /* whose end has not been delivered */
    struct request_id_source ids;
    struct delivery_list claimed; /* to be delivered by whoever holds the lock */
    struct queue queue;
    struct accounts accounts;
    int starts; /* of the policy */
    struct replica_set replicas;
    int n_suspects; /* runs that are suspect, waiting or running */
    bool has_trial; /* a replica is closed for one (scheduler_suspects.c) */
    bool refusing;
    atomic_bool is_undecided;       /* something has changed since the last decision */
    atomic_int n_held;              /* wake-ups under way, at whose end it is decided (scheduler_hold) */
    double mean_run_seconds;        /* of finished requests, recent ones weigh more; 0: none yet */
    struct scheduler_totals totals; /* those that only grow */
    double checked_at;              /* silence, last; 0: never */
};

/* Every function that others call begins and ends with these. Unlocking first hands over what was queued for
 * clients (delivery.h), without the lock. */
void scheduler_lock(struct scheduler *scheduler);
void scheduler_unlock(struct scheduler *scheduler);

/* ---- scheduler_events.c: whom we tell ---- */

/* Tells the process that readiness may have changed, or that no request is left. */
void scheduler_note_change(struct scheduler *scheduler);
/* Tells the observer; `now` and `class` are filled in, and `replica` where the run has one. */
void scheduler_tell(struct scheduler *scheduler, struct scheduler_event event);

/* ---- scheduler_endings.c: how requests end ---- */

/* Off its replica or out of the queue. */
void scheduler_take_off(struct scheduler *scheduler, struct run *run);
/* The only way in which a request ends, because of one of its runs: replicas that have runs of it are told to
 * drop them, its client is told, and then it is freed. */
void scheduler_end_request(struct scheduler *scheduler, const struct run *run, const struct ending *ending);
void scheduler_fail_request(struct scheduler *scheduler, const struct run *run, enum status status,
                            const char *reason);
/* NULL: somebody may still run something. Else all have failed, and there were some: the last of them. */
const struct replica *scheduler_last_hope_lost(const struct scheduler *scheduler);
/* Those who wait are told when there is nobody left to wait for. */
void scheduler_fail_without_hope(struct scheduler *scheduler);

enum status scheduler_no_replica_error(const struct replica *failed, struct error *error);

/* ---- scheduler_admission.c: who is taken ---- */

/* May it enter: is there a replica, and is there room in its client's account and in the queue? `refusal` is
 * set with a status. */
enum status scheduler_admit(const struct scheduler *scheduler, const struct request *request,
                            enum refusal *refusal, struct error *error);
/* How long will it take? Chooses automatic steps, sets request->estimated_seconds, and refuses what cannot be
 * finished by its deadline. `refusal` is set with a status. */
enum status scheduler_estimate(const struct scheduler *scheduler, struct request *request,
                               enum refusal *refusal, struct error *error);

/* ---- scheduler_dispatch.c: who runs where ---- */

/* While due ones of lower classes are passed over, every fourth start is theirs. */
extern const struct policy_rules scheduler_rules;

/* Something has changed: what waits is handed out, as far as there is room, at the unlock or at the end of
 * the wake-up. */
void scheduler_dispatch(struct scheduler *scheduler);
/* The same at once. */
void scheduler_decide(struct scheduler *scheduler);
/* Ends those that wait and are longer than anything a replica runs. */
void scheduler_fail_too_long(struct scheduler *scheduler);

/* ---- scheduler_moves.c: to a replica and back ---- */

/* Out of the queue, and to the replica, which has room. */
void scheduler_start_on(struct scheduler *scheduler, struct run *run, struct replica *replica);
/* Back to its place in the queue, as it was after its last step. `why`: EVENT_PREEMPTED, MOVED or LOST. */
void scheduler_put_back(struct scheduler *scheduler, struct run *run, enum scheduler_event_kind why);
/* All of a replica. `loss`: why it was lost; NULL: it was not. A request whose replicas are lost again and
 * again without a step in between is taken to be the cause, and ends with the last reason. */
void scheduler_put_back_all(struct scheduler *scheduler, struct replica *replica, const char *loss);

/* ---- scheduler_suspects.c: requests that may be what kills replicas ---- */

/* Chooses the one replica that tries suspects, and starts one there once it is empty. Call it before the
 * policy decides. */
void scheduler_try_suspect(struct scheduler *scheduler);

/* ---- scheduler_replicas.c: how replicas come, speak and go ---- */

/* NULL: the connection belongs to no replica any more. */
struct replica *scheduler_replica_of_connection(const struct scheduler *scheduler, const void *connection);
/* Its connection is gone, or is of no use any more: its runs go back to the queue. An outsider that left
 * cleanly is forgotten, and freed. */
void scheduler_lose_connection(struct scheduler *scheduler, struct replica *replica, bool clean,
                               const char *reason);
/* Somebody else starts it, and its connection is gone. */
bool scheduler_is_lost_outsider(const struct replica *replica);
/* Those whose loss is SCHEDULER_MEMORY_SECONDS ago at `now`, monotonic seconds. */
void scheduler_forget_long_lost(struct scheduler *scheduler, double now);

/* ---- scheduler_liveness.c: which of them live ---- */

/* When a replica, as it is, is lost by its silence; monotonic seconds, INFINITY: never. */
double scheduler_silent_until(const struct replica *replica, double silence_seconds);

#endif
