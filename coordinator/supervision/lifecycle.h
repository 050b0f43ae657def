#ifndef MILLRACE_COORDINATOR_SUPERVISION_LIFECYCLE_H
#define MILLRACE_COORDINATOR_SUPERVISION_LIFECYCLE_H

#include "common/rpc/health.h"
#include "common/rpc/server.h"
#include "coordinator/supervision/readiness.h"
#include "coordinator/scheduler/scheduler.h"
#include "coordinator/supervision/spawn.h"

/* The main thread's loop, from the start of the replicas to the end of the last. */
struct lifecycle {
    struct scheduler *scheduler;
    struct spawn *spawn; /* NULL: replicas come from outside */
    struct health *health;
    const struct rpc_server *server; /* which the replicas speak to */
    struct readiness readiness;
    const char *address;
    double drain_seconds;
    int grace_seconds;             /* that ranks have between SIGTERM and SIGKILL */
    int signals;                   /* a signalfd of SIGTERM, SIGINT and SIGCHLD */
    int wake;                      /* an eventfd, written when the scheduler has changed */
    void (*turned)(void *context); /* called at every turn of the loop, about once a second; may be NULL */
    void *context;

    /* its own */
    int phase;
    double deadline; /* of the phase; monotonic seconds */
    bool failed;
};

/* Runs until a signal has ended everything. Returns the exit code: 0, or 1 when somebody waited for readiness
 * that never came. */
int lifecycle_run(struct lifecycle *lifecycle);

/* The scheduler's `changed` callback, for &lifecycle->wake. */
void lifecycle_wake(void *wake);

#endif
