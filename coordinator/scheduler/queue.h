#ifndef MILLRACE_COORDINATOR_SCHEDULER_QUEUE_H
#define MILLRACE_COORDINATOR_SCHEDULER_QUEUE_H

#include "coordinator/scheduler/run_list.h"

/* Who waits: a list for each class, in the order of acceptance, which those keep that come back. Guarded by
 * the scheduler's lock. Zeroed memory is an empty queue. */
struct queue {
    struct run_list by_class[CLASS_COUNT];
};

void queue_insert(struct queue *queue, struct run *run);

/* It has taken a step although it waits: the one that was under way when it gave way. */
void queue_step(struct queue *queue, const struct run *run);

/* Of all classes; NULL: nobody waits. */
struct run *queue_first(const struct queue *queue);

/* Sums over the classes from the highest to `last`: all, with CLASS_COUNT - 1. */
struct queue_sums {
    int n;
    int64_t n_tokens, work; /* as in struct run_list */
};
struct queue_sums queue_sums(const struct queue *queue, enum request_class last);

#endif
