#ifndef MILLRACE_COORDINATOR_SCHEDULER_QUEUE_H
#define MILLRACE_COORDINATOR_SCHEDULER_QUEUE_H

#include "coordinator/scheduler/run_list.h"

/* The runs that wait: a list for each class, in the order of acceptance. A run that comes back goes to its
 * old place in that order. The scheduler's lock guards the queue. Zeroed memory is an empty queue. */
struct queue {
    struct run_list by_class[CLASS_COUNT];
};

void queue_insert(struct queue *queue, struct run *run);

/* Call it when a waiting run has taken a step: the step that was under way when the run gave way. */
void queue_step(struct queue *queue, const struct run *run);

/* The first run of the highest class that has one. NULL: no run waits. */
struct run *queue_first(const struct queue *queue);

/* Sums over the classes from the highest to `last`. With CLASS_COUNT - 1 these are all classes. */
struct queue_sums {
    int n;
    int64_t n_tokens, work; /* as in struct run_list */
};
struct queue_sums queue_sums(const struct queue *queue, enum request_class last);

#endif
