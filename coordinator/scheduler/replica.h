#ifndef MILLRACE_COORDINATOR_SCHEDULER_REPLICA_H
#define MILLRACE_COORDINATOR_SCHEDULER_REPLICA_H

#include <stdbool.h>
#include <stdint.h>

#include "common/hash.h"
#include "coordinator/scheduler/cost.h"
#include "coordinator/scheduler/run_list.h"

enum { REPLICA_NAME_MAX = 64, REPLICA_BACKEND_MAX = 32, REPLICA_LAUNCH_SIZE = 64 };

/* A replica is given up when it is lost so many times in a row while it had runs and had not taken a step.
 * One request cannot cause so many losses (scheduler_moves.c, MAX_LOSSES): the request at fault ends before.
 */
enum { REPLICA_FRUITLESS_MAX = 8 };

/*
 *   (none)   → starting [replica_set_get: a supervisor or a Hello names it]
 *   starting → ready    [scheduler_ready]
 *   ready    → draining [scheduler_drain, _leaving, _drain_supervised; a Rejected that says UNAVAILABLE]
 *   draining → drained  [scheduler_drain without a restart, and its process has ended]
 *   any      → failed   [scheduler_failed before it is ready, scheduler_give_up; lost FRUITLESS_MAX times in
 *                        a row without a step]                         it may still become ready later
 *   any but failed → starting [its connection ended; somebody starts it again]
 *   starting, failed → (none) [scheduler_forget, scheduler_forget_long_lost: lost, and not ours to start]
 */
enum replica_state { REPLICA_STARTING, REPLICA_READY, REPLICA_DRAINING, REPLICA_FAILED, REPLICA_DRAINED };

/* The coordinator's side of the stream to a replica. The scheduler calls it with its lock held: it must
 * neither block nor call the scheduler. A broken connection drops what it gets; its end comes as
 * scheduler_detach. */
struct replica_connection {
    void (*submit)(void *connection, const struct run *run);
    void (*cancel)(void *connection, uint64_t ticket);
    void (*drain)(void *connection);
    void (*hang_up)(void *connection, enum status status, const char *text);
};

/* What a replica has done since its leader started. It says so itself every second (replica.proto, Pulse). */
struct replica_pulse {
    uint64_t progress, steps, passes, rows, needed_rows, changed;
    double matmul_seconds, attention_seconds, head_seconds, communication_seconds, other_seconds;
};

/* What a replica takes at a time. max: what runs together in one step. held: what it may have besides, for
 * the next step boundary. */
struct replica_capacity {
    int max_sequences, held_sequences;
    int64_t max_tokens, held_tokens;
    int run_ahead_steps; /* how many steps it plans before the step under way has ended */
};

/* What is known of a replica, attached or not. Guarded by the scheduler's lock. */
struct replica {
    struct hash_node by_name, by_connection; /* for the set's tables */
    struct replica *next;                    /* in the order in which replicas came */
    int index;                               /* in the set's tables */
    uint64_t number;                         /* from 1; never used again */
    char name[REPLICA_NAME_MAX + 1];
    enum replica_state state;
    bool supervised;                  /* we start it ourselves, and start it again */
    char launch[REPLICA_LAUNCH_SIZE]; /* of the process that may speak in its name; a secret; zero-padded */

    const struct replica_connection *operations; /* NULL: not attached */
    void *connection;
    uint32_t n_ranks;
    char backend[REPLICA_BACKEND_MAX];
    struct replica_capacity capacity;
    struct cost_model cost;
    uint64_t batch_step;  /* the last one that it reported; 0: none */
    double heard_at;      /* when its last message came; monotonic seconds */
    double progressed_at; /* when pulse.progress last moved */
    bool pulses;          /* it sends pulses; old versions do not */
    struct replica_pulse pulse;

    struct run_list running;
    uint64_t steps; /* since it attached */
    uint32_t restarts;
    bool was_attached;
    double lost_at; /* when its last connection ended; monotonic seconds */
    double attached_at;
    bool was_drained; /* since it attached, so that its end is no failure */
    bool is_held;     /* its supervisor must not start it again */
    bool was_ready;   /* since its supervisor last started it */
    bool spoke;       /* since it attached: last_error is its own reason */
    bool is_closed; /* it takes no run but a suspect one, which it runs or waits for (scheduler_suspects.c) */
    bool is_refused; /* it failed because it is none of ours, such as one of another model: it is as good as
                        no replica */
    int n_fruitless; /* losses in a row, each while it had runs and had not taken a step since it attached */
    bool is_stuck;   /* it was silent too long, and its supervisor has not been told yet */
    char last_error[256];
};

/* Is it ready, and large enough for a run of that length, whatever it has already? */
bool replica_can_run(const struct replica *replica, int length);

/* A name such as "r0": 1 to REPLICA_NAME_MAX letters, digits, '.', '_' and '-'. */
bool replica_name_is_valid(const char *name);

/* Runs of the replica that have at most so many steps left count as ended: we send their successors before.
 */
uint32_t replica_ahead_steps(const struct replica *replica);

const char *replica_state_name(enum replica_state state);

#endif
