#ifndef MILLRACE_COORDINATOR_SCHEDULER_RUN_H
#define MILLRACE_COORDINATOR_SCHEDULER_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/status.h"
#include "coordinator/request/request.h"

/*
 * One accepted request and its last frame, which is the whole of its state: (ids, step, seed), and with the
 * stratified solver until_jump. It is in exactly one list: the queue, or the runs of one replica. Guarded by
 * the scheduler's lock.
 */
struct run;
struct replica;

/* What a replica did to a run in one step. */
struct step_report {
    uint64_t ticket;
    uint32_t step; /* done, counted from 1 */
    size_t n_changed;
    const uint32_t *positions, *ids; /* [n_changed] */
    double step_ms;
    bool done;
    double log_probability;
    uint32_t scored;
    size_t n_until_jump;
    const float *until_jump; /* [n_until_jump]: as many as positions with the stratified solver */
    uint64_t batch_step;     /* of the replica, the same in all reports of a step; 0: it does not say */
    int64_t batch_tokens;    /* positions of all runs that took it */
};

/* How a request ends. */
struct ending {
    enum status status;
    const char *text;    /* the reason; of a finished one NULL */
    const char *replica; /* of a finished one: who ran the last step, and on how many ranks */
    uint32_t n_ranks;
};

/* The client's side of a request. Called under the scheduler's lock: must not block nor call the scheduler.
 */
struct client_sink {
    void (*accepted)(void *client, const struct run *run);
    /* Positions that changed, ascending, and their new ids: the frame after run->step steps. */
    void (*frame)(void *client, const struct run *run, const uint32_t *positions, const uint32_t *ids,
                  size_t n);
    /* Last, exactly once; `client` is not used afterwards. STATUS_OK: finished. */
    void (*ended)(void *client, const struct run *run, const struct ending *ending);
};

struct run_list {
    struct run *first, *last;
    int n;
    int64_t n_tokens; /* positions of all together */
    int64_t work;     /* positions times steps that are left */
};

struct run {
    uint64_t number;        /* never used again */
    struct request request; /* request.ids is the last frame */
    uint32_t *changed_step; /* [length]: the step that last changed the position */
    float *until_jump;      /* [length], stratified solver; else NULL */
    uint32_t step;          /* steps done */
    uint64_t ticket; /* what replicas call it: another one each time that an earlier one may still speak */
    const void
        *former_connection; /* where it ran until it was preempted or moved, and may end the step under way */
    int n_starts;           /* times that it was handed to a replica */
    int n_losses;           /* replicas lost in a row without a step in between */
    struct replica *replica; /* that it runs on, or NULL: it waits */

    /* Seconds, monotonic; 0: not yet. It began when its first step did, as far as the report of it tells. */
    double accepted_at, began_at, first_frame_at;
    double compute_ms;
    double log_probability;
    uint32_t scored;

    struct account *account; /* of its client */
    const struct client_sink *sink;
    void *client;

    struct run *previous, *next; /* in its list */
    struct run *next_in_bucket;  /* in the request table */
};

/* Takes the request over. NULL without memory. */
struct run *run_create(uint64_t number, struct request *request);
void run_free(struct run *run);

/*
 * Advances to the next frame. A report that does not follow from the last frame (a step left out, an id or a
 * position that cannot be, a pinned position) changes nothing and is INVALID_ARGUMENT: the replica is not to
 * be trusted.
 */
enum status run_advance(struct run *run, const struct step_report *report, int n_ids, struct error *error);

uint32_t run_steps_left(const struct run *run);

/* Replicas were lost while they ran it, twice or more in a row: it may be the cause. It is then run alone
 * (scheduler_suspects.c) until it has taken a step. */
enum { SUSPECT_LOSSES = 2 };
bool run_is_suspect(const struct run *run);

void run_list_append(struct run_list *list, struct run *run);
/* To its place by number. */
void run_list_insert(struct run_list *list, struct run *run);
void run_list_remove(struct run_list *list, struct run *run);

#endif
