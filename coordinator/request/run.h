#ifndef MILLRACE_COORDINATOR_REQUEST_RUN_H
#define MILLRACE_COORDINATOR_REQUEST_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/hash.h"
#include "common/status.h"
#include "coordinator/request/choices.h"
#include "coordinator/request/draft.h"
#include "coordinator/request/run_place.h"

/*
 * A run is one row of ids that a replica refines step by step, for one request (request.h). Its last frame is
 * the whole of its state: ids, step and seed, and with the stratified solver until_jump. So a run can go on
 * on any replica from any step.
 */
struct request;
struct replica;
struct run_list;

/* What a replica did to a run in one step. */
struct step_report {
    uint64_t ticket;
    uint32_t step; /* done, counted from 1 */
    size_t n_changed;
    const uint32_t *positions, *ids; /* [n_changed] */
    const float *log_probabilities;  /* [n_changed]: of the ids when they were drawn; NULL: not said */
    double step_ms;
    bool done;
    double log_probability;
    uint32_t scored;
    uint32_t forwards; /* passes of the model that the step took of the run */
    size_t n_until_jump;
    const float *until_jump; /* [n_until_jump]: as many as positions with the stratified solver */
    uint64_t batch_step;     /* of the replica, the same in all reports of a step; 0: it does not say */
    int64_t batch_tokens;    /* positions of all runs that took it */
};

/* Of how many losses a run remembers the replica. */
enum { RUN_LOSSES_KEPT = 12 };

struct run {
    struct hash_node by_number; /* of the scheduler's table */
    struct request *request;    /* that it belongs to */
    uint64_t number;            /* never used again */

    /* ---- what it is, for its whole life ---- */
    enum request_class class; /* of its request */
    int length;               /* positions */
    int n_pinned;             /* of them never change */
    int steps;                /* of automatic steps: known from acceptance on */
    uint64_t seed;
    uint8_t *editable; /* [length]: 1 where it may change */

    /* ---- its state: the last frame ---- */
    uint32_t step;          /* steps done */
    int32_t *ids;           /* [length]; below the model's n_ids */
    float *until_jump;      /* [length], stratified solver; else NULL */
    uint32_t *changed_step; /* [length]: the step that last changed the position */
    double compute_ms;      /* sum of its steps */
    double log_probability; /* of the `scored` tokens that the last step drew: the sum, natural */
    uint32_t scored;
    uint64_t forwards; /* passes of the model, of all steps */

    /* ---- where it is; the scheduler's ---- */
    uint64_t ticket; /* what replicas call it: another one each time that an earlier one may still speak */
    struct replica *replica;       /* that it runs on, or NULL: it waits */
    const void *former_connection; /* where it ran until it was preempted or moved, and may end the step that
                                      is under way */
    int n_starts;                  /* times that it was handed to a replica */
    int n_losses;                  /* replicas lost in a row without a step in between */
    uint64_t lost_on[RUN_LOSSES_KEPT]; /* the replica.number of each of those losses; a ring */
    /* Seconds, monotonic; 0: not yet. It began when its first step did, as far as the report of it tells. */
    double accepted_at, began_at, first_frame_at;
    struct run_list *list; /* that it is in: a class's queue, or the runs of a replica; NULL: none */
    struct run *previous, *next;
    struct run_place place; /* while it runs: as its replica's occupancy counts it */
};

/* Fills a zeroed run from a draft, and takes the draft over. false: no memory; the draft is then still the
 * caller's. */
bool run_init(struct run *run, const struct request_choices *choices, struct draft *draft);
void run_release(struct run *run);

/*
 * Advances to the next frame. A report that does not follow from the last frame (a step left out, an id or a
 * position that cannot be, a pinned position) changes nothing and is INVALID_ARGUMENT: the replica is not to
 * be trusted.
 */
enum status run_advance(struct run *run, const struct step_report *report, int n_ids, struct error *error);

uint32_t run_steps_left(const struct run *run);
/* Whose place this is. */
struct run *run_of_place(struct run_place *place);

/* Replicas were lost while they ran it, twice or more in a row: it may be the cause. It is then run alone
 * (scheduler_suspects.c) until it has taken a step. */
enum { SUSPECT_LOSSES = 2 };
bool run_is_suspect(const struct run *run);

/* Counts a loss of the replica of that number. */
void run_count_loss(struct run *run, uint64_t replica);
/* How many of the run's last losses were of that replica. */
int run_losses_on(const struct run *run, uint64_t replica);

#endif
