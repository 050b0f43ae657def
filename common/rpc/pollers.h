#ifndef MILLRACE_COMMON_RPC_POLLERS_H
#define MILLRACE_COMMON_RPC_POLLERS_H

#include <grpc/grpc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "common/rpc/server.h"

/*
 * Internal to common/rpc: the threads of a server.
 *
 * Why several. A thread that waits at gRPC's queue also reads the connections. gRPC goes on with one
 * connection as long as it has bytes to read, so a peer that sends without a pause holds the thread that
 * reads it. Then another thread must read the other connections.
 *
 * One is enough otherwise: two threads at gRPC's queue wake each other for every message, which costs half as
 * much CPU again. So one thread is active and the others stand by. When the active one has not come back for
 * a tenth of a second, another becomes active beside it. When the first comes back, it stands by.
 *
 * Turns. Callbacks run one after another, so they need no lock among themselves. A thread that comes back
 * with completions appends them to a list. If no thread has the turn, it takes the turn and handles the list
 * until that is empty. If another has the turn, that one handles them. Nobody waits at gRPC's queue while it
 * has the turn.
 */
enum { POLLERS = 8 };

/* The tag of a completion begins with this. */
struct completion {
    struct completion *next;
    bool ok;
};

/* What the server does when it has the turn. */
struct poller_work {
    void (*complete)(void *context, struct completion *completion, bool ok);
    double (*tick)(void *context); /* what is due by now; returns the seconds until something will be */
    struct rpc_batch batch;
    void *context;
};

struct poller {
    pthread_t thread;
    struct pollers *all;
    bool is_active;
    double due_at; /* when it should be back; monotonic seconds */
};

struct pollers {
    grpc_completion_queue *queue;
    struct poller_work work;
    struct poller threads[POLLERS];
    int n_threads;
    _Atomic double turned_at; /* see pollers_turned_at */
    atomic_bool gathers;      /* events came so close together that it pays to look for more at once */

    pthread_mutex_t mutex; /* guards all below, and is_active and due_at of the threads */
    pthread_cond_t changed;
    struct completion *first, *last;
    double tick_at;   /* when something is due */
    bool has_turn;    /* a thread handles the list */
    bool has_watcher; /* a thread that stands by looks at those that are active */
    bool is_closing;
};

enum status pollers_start(struct pollers *pollers, grpc_completion_queue *queue,
                          const struct poller_work *work, struct error *error);
/* After grpc_completion_queue_shutdown; also for pollers that could not start. */
void pollers_join(struct pollers *pollers);

/* When a thread came back from gRPC and everything that had come by then was handled; monotonic seconds. It
 * is older than half a second only while every thread is held by what a connection sends, or one callback
 * takes so long, or the process does not run. */
double pollers_turned_at(const struct pollers *pollers);

#endif
