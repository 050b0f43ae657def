#ifndef MILLRACE_COORDINATOR_SCHEDULER_POLICY_H
#define MILLRACE_COORDINATOR_SCHEDULER_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/status.h"
#include "coordinator/request/generate_options.h"
#include "coordinator/scheduler/occupancy.h"

/*
 * The policy decides which waiting run starts on which replica, and which running ones give way for it. It is
 * a function of its arguments alone.
 *
 * Units. A length is a number of positions. Steps are steps of the replica that is spoken of. Work is
 * positions × steps. Times are seconds. What a replica takes at a time (max_sequences, max_tokens,
 * ahead_steps, ...) is explained in occupancy.h.
 *
 * The objective. Let a replica r have the runs j of length l(j) with s(j) steps left. With
 *     n(r, s), t(r, s)  the runs, and their positions, that have more than s steps left,
 *     start(r, l) = min { s : n(r, s) < max_sequences(r) and t(r, s) + l <= max_tokens(r) },
 *     load(r) = slowness(r) × Σ l(j) s(j),
 * the policy takes the next waiting run i, in the order below, and starts it on the replica of the least load
 * among those that take it. A replica takes it if start(r, l(i)) <= ahead_steps(r), and if the replica may
 * hold that much. If no replica takes it, the first such run gets the replica where the fewest positions have
 * to give way. If nothing may give way, it gets a reservation on the replica of the least start(r, l(i)).
 * Ties go to the first replica.
 *
 * Why the answer is exact. All runs of a replica advance together, one step at a time. So the policy knows in
 * how many steps each of them will leave.
 *
 * Order. Higher classes come first. Within a class, runs come by number, which is the order of acceptance.
 * Nobody starves: a run that has waited for due_seconds is due. The policy counts the starts that pass over
 * due runs of lower classes: one of every due_share such starts belongs to the first accepted of those due
 * runs. So a run starts after at most due_seconds and due_share × (1 + those before it) starts, however many
 * runs of a higher class come.
 *
 * Mixed lengths. The first run in that order that finds no room gets a reservation: the replica and the step
 * at which enough runs will have left. Runs behind it may start only where they do not delay that step. So
 * nothing that comes later delays the first run, and the run behind it becomes the first in turn.
 *
 * Preemption. Before it gets a reservation, that first run may displace runs of a lower class that are not
 * due. The lowest class gives way first, and within a class the run that was accepted last. No more runs give
 * way than necessary, and the policy chooses the replica where that costs the fewest positions. Runs do not
 * displace each other in turn: a run gives way only to a higher class, and only until it is due.
 *
 * Cost. The owner of the occupancies keeps them up to date. So a decision looks at each waiting run and once
 * for it at each replica, and never at all running runs: O(starts × replicas), a few instructions each. Where
 * something has to give way, it also looks at the runs that give way.
 *
 * Ownership. The input belongs to the caller, and the policy keeps no pointer into it. Only
 * policy_preemption.place points to a run of the caller's. The arrays of a decision belong to the decision.
 */
struct policy_rules {
    double due_seconds; /* a run that has waited for so long is due */
    int due_share;      /* one of so many starts belongs to a due run; 2 or more */
};

struct policy_waiting {
    uint64_t number;
    enum request_class class;
    int length; /* positions */
    uint32_t steps_left;
    double accepted_at; /* seconds */
    int replica; /* -1: the run waits in the queue. Else the index of the replica that has it and drains: the
                    run moves if another replica takes it */
};

struct policy_replica {
    struct occupancy occupancy;
    double slowness; /* time per position and step, in any unit that all replicas share; > 0 */
    bool open;       /* it takes new runs */
};

struct policy_input {
    /* [n_waiting] first those that move, then by class, then by number */
    const struct policy_waiting *waiting;
    int n_waiting;
    /* [n_replicas] While it decides, the policy counts starts and preemptions in these occupancies. At its
     * end they are as they were. */
    struct policy_replica *replicas;
    int n_replicas;
    bool equal_slowness; /* some replica is not measured yet: all count as equally fast */
    double now;          /* seconds, on the clock of accepted_at */
    int starts;          /* policy_decision.starts of the last decision; at first 0 */
};

struct policy_start {
    int waiting, replica; /* indexes into the input */
    uint32_t leaves_in;   /* steps until the run ends there */
};

struct policy_preemption {
    struct run_place *place; /* of the run that gives way */
    int replica;             /* index into the input */
};

/* The caller first takes away all runs that give way, then makes the starts, each in the order of its array.
 */
struct policy_decision {
    struct policy_preemption *preempted; /* [n_preempted] */
    int n_preempted, preempted_capacity;
    struct policy_start *started; /* [n_started] */
    int n_started;
    int starts; /* how many starts have passed over a due run since one that did not; for the next input */
};

/* Fails with RESOURCE_EXHAUSTED when there is no memory. Free the decision with policy_decision_release,
 * which also takes a zeroed one. Every replica's occupancy then has memory for the runs that start there:
 * occupancy_add needs no further occupancy_reserve. */
enum status policy_decide(const struct policy_rules *rules, const struct policy_input *input,
                          struct policy_decision *decision, struct error *error);
void policy_decision_release(struct policy_decision *decision);

#endif
