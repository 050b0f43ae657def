#ifndef MILLRACE_TESTS_COORDINATOR_SCHEDULER_REFERENCE_POLICY_H
#define MILLRACE_TESTS_COORDINATOR_SCHEDULER_REFERENCE_POLICY_H

#include "coordinator/scheduler/policy.h"

/* The policy as it was before occupancies were kept up: it rebuilds what every replica runs for each
 * decision, which is slow and easy to follow. The policy must decide as this does, in every state. */
struct reference_waiting {
    uint64_t number;
    enum request_class class;
    int length; /* positions */
    uint32_t steps_left;
    double waited; /* seconds since it was accepted */
    int replica; /* -1: it waits in the queue. Else it runs on that replica, which drains, and moves if it can
                  */
};

struct reference_running {
    uint64_t number;
    enum request_class class;
    int length;
    uint32_t steps_left;
    double waited; /* seconds since it was accepted, running or not */
    int replica;
};

struct reference_replica {
    bool open; /* takes runs */
    int max_sequences, held_sequences;
    int64_t max_tokens,
        held_tokens; /* positions together; held: that may be there besides, for the next boundary */
    uint32_t ahead_steps;
    double slowness; /* seconds of a position and step, in any unit that all replicas share; > 0 */
};

struct reference_input {
    const struct reference_waiting *waiting; /* those that move first, then by class, then by number */
    int n_waiting;
    const struct reference_running *running;
    int n_running;
    const struct reference_replica *replicas;
    int n_replicas;
    int starts; /* as the last decision left it; at first 0 */
};

struct reference_start {
    int waiting, replica; /* indexes */
};

/* To be carried out in this order: first all that give way, then the starts. */
struct reference_decision {
    int *preempted; /* indexes of running [n_preempted] */
    int n_preempted;
    struct reference_start *started; /* [n_started] */
    int n_started;
    int starts; /* that passed over a due one, since the last that did not; for the next input */
};

/* RESOURCE_EXHAUSTED without memory. Free with reference_decision_release, which takes a zeroed one too. */
enum status reference_decide(const struct policy_rules *rules, const struct reference_input *input,
                             struct reference_decision *decision, struct error *error);
void reference_decision_release(struct reference_decision *decision);

#endif
