#ifndef MILLRACE_COORDINATOR_SCHEDULER_POLICY_H
#define MILLRACE_COORDINATOR_SCHEDULER_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/status.h"
#include "coordinator/request/generate_options.h"
#include "coordinator/scheduler/occupancy.h"

/*
 * Which waiting run is started where, and which runs give way for it: a function of its arguments alone.
 *
 * The objective. Let a replica r have the runs j of length l(j) with s(j) steps left. With
 *     n(r, s), t(r, s)  the runs, and their positions, that have more than s steps left,
 *     start(r, l) = min { s : n(r, s) < max_sequences(r) and t(r, s) + l <= max_tokens(r) },
 *     load(r) = slowness(r) × Σ l(j) s(j),
 * the next waiting run i, in the order below, is started on the replica of the least load among those that
 * take it: start(r, l(i)) <= ahead_steps(r), and no more is sent ahead than may be held. Where none takes it,
 * the first such run gets the replica where the fewest positions have to give way, and if nothing may give
 * way a reservation on the replica of the least start(r, l(i)). Ties go to the first replica.
 *
 * What makes a good answer possible: all runs of a replica advance together, one step at a time, so when each
 * will leave is known exactly, in steps.
 *
 * Order. A higher class first, within a class by number (the order of acceptance). Nobody starves: a run that
 * has waited due_seconds is due, and of due_share starts made while due ones of lower classes are passed
 * over, one belongs to the first accepted of them. So it starts after at most due_seconds and due_share × (1
 * + those before it) starts, however many of a higher class come.
 *
 * Mixed lengths. The first in that order that finds no room gets a reservation: the replica and the step at
 * which enough will have left. Others behind it may fill holes only where that step does not move. So nothing
 * that comes later delays the first, and the one behind it becomes the first in turn.
 *
 * Preemption. The first that finds no room may take the place of runs of a lower class that are not due. The
 * lowest class gives way first, in it the last accepted; no more of them than needed; on the replica where
 * that costs least. There is no thrashing: a run gives way only to a higher class, and only until it is due.
 *
 * Cost. The occupancies are kept up by whoever owns them, so a decision looks at what waits and once at each
 * replica, never at all runs: O(starts × replicas) of a few instructions each, and where something has to
 * give way the runs that do.
 */
struct policy_rules {
    double due_seconds;
    int due_share; /* 2 or more */
};

struct policy_waiting {
    uint64_t number;
    enum request_class class;
    int length; /* positions */
    uint32_t steps_left;
    double accepted_at; /* seconds */
    int replica; /* -1: it waits in the queue. Else it runs on that replica, which drains, and moves if it can
                  */
};

struct policy_replica {
    struct occupancy occupancy;
    double slowness; /* seconds of a position and step, in any unit that all replicas share; > 0 */
    bool open;       /* takes runs */
};

struct policy_input {
    const struct policy_waiting *waiting; /* those that move first, then by class, then by number */
    int n_waiting;
    /* The decision counts in the occupancies while it is made, and leaves them as they were. */
    struct policy_replica *replicas;
    int n_replicas;
    bool equal_slowness; /* not all are measured: they count as equal */
    double now;          /* on the clock of accepted_at */
    int starts;          /* as the last decision left it; at first 0 */
};

struct policy_start {
    int waiting, replica; /* indexes */
    uint32_t leaves_in;   /* steps */
};

struct policy_preemption {
    struct run_place *place;
    int replica; /* index */
};

/* To be carried out in this order: first all that give way, then the starts. */
struct policy_decision {
    struct policy_preemption *preempted; /* [n_preempted] */
    int n_preempted, preempted_capacity;
    struct policy_start *started; /* [n_started] */
    int n_started;
    int starts; /* that passed over a due one, since the last that did not; for the next input */
};

/* RESOURCE_EXHAUSTED without memory. Free with policy_decision_release, which takes a zeroed one too. After a
 * start on a replica the same run can be added to its occupancy: there is memory for it. */
enum status policy_decide(const struct policy_rules *rules, const struct policy_input *input,
                          struct policy_decision *decision, struct error *error);
void policy_decision_release(struct policy_decision *decision);

#endif
