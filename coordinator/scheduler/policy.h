#ifndef MILLRACE_COORDINATOR_SCHEDULER_POLICY_H
#define MILLRACE_COORDINATOR_SCHEDULER_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/status.h"
#include "coordinator/request/generate_options.h"

/*
 * Which waiting run is started where, and who gives way for it: a function of its arguments alone.
 *
 * What makes a good answer possible: all runs of a replica advance together, one step at a time, so when
 * each will leave is known exactly, in steps.
 *
 * Order. A higher class first, within a class by number (the order of acceptance). Nobody starves: a run
 * that has waited due_seconds is due, and of due_share starts made while due ones of lower classes are passed
 * over, one belongs to the first accepted of them. So it starts after at most due_seconds and due_share × (1
 * + those before it) starts, however many of a higher class come.
 *
 * Mixed lengths. The first in that order that finds no room gets a reservation: the replica and the step at
 * which enough will have left. Others behind it may fill holes only where that step does not move. So nothing
 * that comes later delays the first, and who is behind becomes the first in turn.
 *
 * Preemption. The first that finds no room may take the place of runs of a lower class that are not due.
 * The lowest class gives way first, in it the last accepted; no more of them than needed; on the replica
 * where that costs least. There is no thrashing: a run gives way only to a higher class, and only until
 * it is due.
 *
 * Room. A run that leaves within ahead_steps counts as gone, and what takes its place is sent ahead, for
 * the replica to take up at the boundary: else the place would be empty for a step. What is sent ahead is
 * bounded by held_*.
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
    double waited; /* seconds since it was accepted */
    int replica; /* -1: it waits in the queue. Else it runs on that replica, which drains, and moves if it can
                  */
};

struct policy_running {
    uint64_t number;
    enum request_class class;
    int length;
    uint32_t steps_left;
    double waited; /* seconds since it was accepted, running or not */
    int replica;
};

struct policy_replica {
    bool open; /* takes runs */
    int max_sequences, held_sequences;
    int64_t max_tokens,
        held_tokens; /* positions together; held: that may be there besides, for the next boundary */
    uint32_t ahead_steps;
    double slowness; /* seconds of a position and step, in any unit that all replicas share; > 0 */
};

struct policy_input {
    const struct policy_waiting *waiting; /* those that move first, then by class, then by number */
    int n_waiting;
    const struct policy_running *running;
    int n_running;
    const struct policy_replica *replicas;
    int n_replicas;
    int starts; /* as the last decision left it; at first 0 */
};

struct policy_start {
    int waiting, replica; /* indexes */
};

/* To be carried out in this order: first all that give way, then the starts. */
struct policy_decision {
    int *preempted; /* indexes of running [n_preempted] */
    int n_preempted;
    struct policy_start *started; /* [n_started] */
    int n_started;
    int starts; /* that passed over a due one, since the last that did not; for the next input */
};

/* RESOURCE_EXHAUSTED without memory. Free with policy_decision_release, which takes a zeroed one too. */
enum status policy_decide(const struct policy_rules *rules, const struct policy_input *input,
                          struct policy_decision *decision, struct error *error);
void policy_decision_release(struct policy_decision *decision);

#endif
