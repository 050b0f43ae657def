#include "common/rpc/pollers.h"

#include <math.h>

#include "common/clock.h"
#include "common/rpc/wire.h"

#define LOOK_SECONDS 0.05  /* the active thread comes back after so long though nothing happens */
#define GRACE_SECONDS 0.05 /* and so much later it counts as held */
#define BATCH_SECONDS 0.002

static void append(struct pollers *pollers, struct completion *completion, bool ok)
{
    completion->next = NULL;
    completion->ok = ok;
    if (pollers->last)
        pollers->last->next = completion;
    else
        pollers->first = completion;
    pollers->last = completion;
}

static struct completion *take(struct pollers *pollers)
{
    pthread_mutex_lock(&pollers->mutex);
    struct completion *completion = pollers->first;
    if (completion) {
        pollers->first = completion->next;
        if (!pollers->first)
            pollers->last = NULL;
    }
    pthread_mutex_unlock(&pollers->mutex);
    return completion;
}

/* ---- with the turn ---- */

static void complete(struct pollers *pollers, struct completion *completion)
{
    pollers->work.complete(pollers->work.context, completion, completion->ok);
}

/* Handles this completion and those that are there already, as long as that pays. */
static void complete_batch(struct pollers *pollers, struct completion *completion)
{
    const struct rpc_batch *batch = &pollers->work.batch;
    double until = clock_seconds() + BATCH_SECONDS;
    bool more = true;
    batch->begin(batch->context);
    for (int n = 1; completion; n++) {
        complete(pollers, completion);
        more = batch->more(batch->context);
        bool goes_on = more && n < RPC_BATCH_MOST && clock_seconds() < until;
        completion = goes_on ? take(pollers) : NULL;
    }
    batch->end(batch->context);
    atomic_store(&pollers->gathers, more);
}

static void handle_list(struct pollers *pollers)
{
    struct completion *completion;
    while ((completion = take(pollers))) {
        if (pollers->work.batch.begin)
            complete_batch(pollers, completion);
        else
            complete(pollers, completion);
    }
}

/* ---- the turn ---- */

/* A completion may be appended after the list was found empty, and before the turn is given back: whoever
 * appends it sees that the turn is taken. So the list is looked at once more under the lock. */
static bool give_back(struct pollers *pollers, double tick_at)
{
    pthread_mutex_lock(&pollers->mutex);
    bool empty = !pollers->first;
    if (empty)
        pollers->has_turn = false;
    pollers->tick_at = tick_at;
    pthread_mutex_unlock(&pollers->mutex);
    return empty;
}

static bool take_turn(struct pollers *pollers)
{
    pthread_mutex_lock(&pollers->mutex);
    bool taken = !pollers->has_turn;
    pollers->has_turn = true;
    pthread_mutex_unlock(&pollers->mutex);
    return taken;
}

static void handle(struct pollers *pollers)
{
    double came_at = clock_seconds(), seconds;
    if (!take_turn(pollers))
        return;
    do {
        handle_list(pollers);
        seconds = pollers->work.tick(pollers->work.context);
    } while (!give_back(pollers, came_at + seconds));
    atomic_store(&pollers->turned_at, came_at);
}

/* ---- who waits at gRPC's queue ---- */

/* Holding the mutex. */
static bool another_is_in_time(const struct poller *self, double now)
{
    const struct pollers *all = self->all;
    for (int i = 0; i < POLLERS; i++) {
        const struct poller *other = &all->threads[i];
        if (other != self && other->is_active && other->due_at >= now)
            return true;
    }
    return false;
}

/* Stands by until it is needed. One of those that stand by looks at those that are active; the others wait
 * for its place. Returns how long to wait at gRPC's queue. */
static double become_active(struct poller *self)
{
    struct pollers *all = self->all;
    bool stood_by = false;
    pthread_mutex_lock(&all->mutex);
    self->is_active = false;
    while (!all->is_closing && another_is_in_time(self, clock_seconds())) {
        struct timespec until = clock_after(LOOK_SECONDS);
        stood_by = true;
        if (all->has_watcher) {
            pthread_cond_wait(&all->changed, &all->mutex);
        } else {
            all->has_watcher = true;
            clock_wait_until(&all->changed, &all->mutex, &until);
            all->has_watcher = false;
        }
    }
    double now = clock_seconds(), seconds = fmin(fmax(all->tick_at - now, 0), LOOK_SECONDS);
    self->is_active = true;
    self->due_at = now + seconds + GRACE_SECONDS;
    if (stood_by) /* another watches in its place */
        pthread_cond_signal(&all->changed);
    pthread_mutex_unlock(&all->mutex);
    return seconds;
}

static bool note_event(struct poller *self, const grpc_event *event)
{
    struct pollers *all = self->all;
    pthread_mutex_lock(&all->mutex);
    self->due_at = clock_seconds() + GRACE_SECONDS;
    if (event->type == GRPC_OP_COMPLETE)
        append(all, event->tag, event->success != 0);
    if (event->type == GRPC_QUEUE_SHUTDOWN) {
        all->is_closing = true;
        pthread_cond_broadcast(&all->changed);
    }
    pthread_mutex_unlock(&all->mutex);
    return event->type == GRPC_OP_COMPLETE;
}

/* Appends the next completion, and those that have come with it where batches are worth it. False: the queue
 * is at its end. */
static bool gather(struct poller *self, double seconds)
{
    struct pollers *all = self->all;
    grpc_event event = grpc_completion_queue_next(all->queue, wire_deadline(seconds), NULL);
    for (int n = 1; note_event(self, &event) && n < RPC_BATCH_MOST && atomic_load(&all->gathers); n++)
        event = grpc_completion_queue_next(all->queue, gpr_time_0(GPR_CLOCK_MONOTONIC), NULL);
    return event.type != GRPC_QUEUE_SHUTDOWN;
}

static void *serve(void *argument)
{
    struct poller *self = argument;
    while (gather(self, become_active(self)))
        handle(self->all);
    handle(self->all);
    return NULL;
}

enum status pollers_start(struct pollers *pollers, grpc_completion_queue *queue,
                          const struct poller_work *work, struct error *error)
{
    pollers->queue = queue;
    pollers->work = *work;
    pthread_mutex_init(&pollers->mutex, NULL);
    clock_condition_init(&pollers->changed);
    atomic_store(&pollers->turned_at, clock_seconds());
    for (int i = 0; i < POLLERS; i++)
        pollers->threads[i].all = pollers;
    while (pollers->n_threads < POLLERS && !pthread_create(&pollers->threads[pollers->n_threads].thread, NULL,
                                                           serve, &pollers->threads[pollers->n_threads]))
        pollers->n_threads++;
    if (pollers->n_threads == POLLERS)
        return STATUS_OK;
    return error_set(error, STATUS_RESOURCE_EXHAUSTED, "cannot start %d threads for the server", POLLERS);
}

/* Without a thread the queue must still be taken to its end. */
void pollers_join(struct pollers *pollers)
{
    if (!pollers->n_threads)
        serve(&pollers->threads[0]);
    for (int i = 0; i < pollers->n_threads; i++)
        pthread_join(pollers->threads[i].thread, NULL);
    pthread_cond_destroy(&pollers->changed);
    pthread_mutex_destroy(&pollers->mutex);
}

double pollers_turned_at(const struct pollers *pollers)
{
    return atomic_load(&pollers->turned_at);
}
