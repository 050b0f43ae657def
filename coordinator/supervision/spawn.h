#ifndef MILLRACE_COORDINATOR_SUPERVISION_SPAWN_H
#define MILLRACE_COORDINATOR_SUPERVISION_SPAWN_H

#include "coordinator/supervision/launch.h"
#include "coordinator/scheduler/scheduler.h"

/*
 * Keeps n replicas running on this machine: starts them, notices their death, starts them again after a pause
 * that doubles from 0.5 to 10 seconds with every start that did not become ready, or that failed at its first
 * step (none when it had served for 10 seconds). After three of those in a row the scheduler is told to give
 * the replica up; it is still started again. One that hangs is killed. One thread (the main thread) calls
 * everything here.
 */
struct spawn;

/* `options` and what it points to must outlive it. NULL without memory. The replicas are called r0, r1, and
 * so on. A replica that has not attached within `attach_seconds` of its start counts as hung. */
struct spawn *spawn_create(const struct launch_options *options, int n_replicas, double attach_seconds,
                           struct scheduler *scheduler);
/* No child is left. NULL is allowed. */
void spawn_free(struct spawn *spawn);

/* Kills replicas that hang, reaps those that died and starts those that are due. Call it again within the
 * seconds that it returns. */
double spawn_step(struct spawn *spawn);

/* From now on no replica is started again. */
void spawn_stop_restarting(struct spawn *spawn);
/* Sends a signal to the process group of every replica that lives. */
void spawn_signal(struct spawn *spawn, int signal_number);
/* Replicas whose launcher lives. */
int spawn_n_living(const struct spawn *spawn);

#endif
