/* How replicas come, speak and go. */
#include "coordinator/scheduler/scheduler_state.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/utf8.h"

enum { MAX_REPLICAS = 1024 }; /* how many names we remember at most, as others may make up new ones */

struct replica *scheduler_replica_of_connection(const struct scheduler *scheduler, const void *connection)
{
    return replica_set_find_connection(&scheduler->replicas, connection);
}

/* The run of that ticket, if the replica has it. */
static struct run *running_on(const struct scheduler *scheduler, const struct replica *replica,
                              uint64_t ticket)
{
    struct run *run = run_table_find_ticket(&scheduler->runs, ticket);
    return run && run->replica == replica ? run : NULL;
}

/* The same. Also a run that waits and has last been on this replica: the report of its step under way still
 * counts. */
static struct run *reported_by(const struct scheduler *scheduler, const struct replica *replica,
                               uint64_t ticket)
{
    struct run *run = run_table_find_ticket(&scheduler->runs, ticket);
    bool ran_there = run && !run->replica && run->former_connection == replica->connection;
    return run && (run->replica == replica || ran_there) ? run : NULL;
}

static void set_error(struct replica *replica, const char *reason)
{
    utf8_copy(replica->last_error, sizeof replica->last_error, reason);
}

static void set_failed(struct scheduler *scheduler, struct replica *replica, const char *reason)
{
    replica_set_state(&scheduler->replicas, replica, REPLICA_FAILED);
    set_error(replica, reason);
    log_error("replica %s failed: %s", replica->name, reason);
    scheduler_put_back_all(scheduler, replica, reason);
    scheduler_dispatch(scheduler);
    scheduler_fail_without_hope(scheduler);
    scheduler_note_change(scheduler);
}

static void forget(struct scheduler *scheduler, struct replica *replica)
{
    replica_set_remove(&scheduler->replicas, replica);
}

bool scheduler_is_lost_outsider(const struct replica *replica)
{
    return !replica->operations && !replica->supervised;
}

/* Forgets the first lost replica that somebody else started. We expect it back, but where every start makes
 * up a new name (pods), most never come. */
static void make_room(struct scheduler *scheduler)
{
    struct replica *replica = scheduler->replicas.first;
    while (replica && !scheduler_is_lost_outsider(replica))
        replica = replica->next;
    if (replica)
        forget(scheduler, replica);
}

/* Takes the same time wherever they differ. */
static bool is_launch_of(const struct replica *replica, const char *launch)
{
    char shown[REPLICA_LAUNCH_SIZE] = "";
    unsigned difference = 0;
    if (launch)
        strncpy(shown, launch, sizeof shown - 1);
    for (size_t i = 0; i < sizeof shown; i++)
        difference |= (unsigned)(unsigned char)shown[i] ^ (unsigned char)replica->launch[i];
    return difference == 0;
}

static void set_launch(struct replica *replica, const char *launch)
{
    memset(replica->launch, 0, sizeof replica->launch);
    if (launch)
        strncpy(replica->launch, launch, sizeof replica->launch - 1);
}

static enum status check_hello(struct scheduler *scheduler, const struct replica_hello *hello,
                               struct error *error)
{
    if (!replica_name_is_valid(hello->name))
        return error_set(error, STATUS_INVALID_ARGUMENT,
                         "hello.replica: \"%.80s\" is no name: 1 to %d letters, digits, '.', '_' or '-'",
                         hello->name, REPLICA_NAME_MAX);
    const struct replica *known = replica_set_find(&scheduler->replicas, hello->name);
    if (known && known->supervised && !is_launch_of(known, hello->launch))
        return error_set(
            error, STATUS_FAILED_PRECONDITION,
            "hello.replica: \"%s\" is a replica that this coordinator starts itself; give this one "
            "another name (--replica NAME)",
            hello->name);
    if (known && known->operations)
        return error_set(error, STATUS_ALREADY_EXISTS, "hello.replica: a replica \"%s\" is attached already",
                         hello->name);
    if (!known && scheduler->replicas.n >= MAX_REPLICAS)
        make_room(scheduler);
    if (!known && scheduler->replicas.n >= MAX_REPLICAS)
        return error_set(error, STATUS_RESOURCE_EXHAUSTED, "%d replicas are known; no more fit",
                         scheduler->replicas.n);
    return STATUS_OK;
}

/* A replica that attaches begins anew. */
static void begin(struct scheduler *scheduler, struct replica *replica, const struct replica_hello *hello)
{
    set_launch(replica, hello->launch);
    replica->n_ranks = hello->n_ranks;
    utf8_copy(replica->backend, sizeof replica->backend, hello->backend);
    replica->steps = 0;
    replica->cost = (struct cost_model){0}; /* it may be another machine */
    replica->batch_step = 0;
    replica->heard_at = replica->progressed_at = clock_seconds();
    replica->pulses = false;
    replica->pulse = (struct replica_pulse){0};
    replica->restarts += replica->was_attached;
    replica->attached_at = clock_seconds();
    replica->was_drained = false;
    replica->spoke = false;
    replica->is_closed = false;
    replica->was_attached = true;
    replica_set_update(&scheduler->replicas, replica);
}

enum status scheduler_attach(struct scheduler *scheduler, const struct replica_hello *hello,
                             const struct replica_connection *operations, void *connection,
                             struct error *error)
{
    scheduler_lock(scheduler);
    enum status status = check_hello(scheduler, hello, error);
    struct replica *replica = status == STATUS_OK ? replica_set_get(&scheduler->replicas, hello->name) : NULL;
    if (replica && replica_set_connect(&scheduler->replicas, replica, operations, connection))
        begin(scheduler, replica, hello);
    else if (status == STATUS_OK)
        status = error_set(error, STATUS_RESOURCE_EXHAUSTED, "no memory for another replica");
    scheduler_unlock(scheduler);
    return status;
}

void scheduler_ready(struct scheduler *scheduler, void *connection, const struct replica_capacity *capacity)
{
    scheduler_lock(scheduler);
    struct replica *replica = scheduler_replica_of_connection(scheduler, connection);
    if (replica && replica->state != REPLICA_DRAINING) { /* one that drains leaves, and gets no runs */
        replica->was_ready = true;
        replica->is_refused = false;
        replica->capacity = *capacity;
        replica_set_state(&scheduler->replicas, replica, REPLICA_READY);
        log_info("replica %s is ready: %s, %u ranks, %d sequences, %lld tokens at a time", replica->name,
                 replica->backend, replica->n_ranks, capacity->max_sequences,
                 (long long)capacity->max_tokens);
        scheduler_fail_too_long(scheduler);
        scheduler_dispatch(scheduler);
        scheduler_note_change(scheduler);
    }
    scheduler_unlock(scheduler);
}

static bool has_not_started(const struct replica *replica)
{
    return replica->state == REPLICA_STARTING || replica->state == REPLICA_FAILED;
}

/* A replica that never became ready may never do so: it counts as failed, so that requests do not wait for it
 * alone. A replica that was ready is lost as if it had been killed, and may be well after a restart. */
static void fail_replica(struct scheduler *scheduler, struct replica *replica, const char *reason)
{
    replica->spoke = true;
    if (has_not_started(replica)) {
        set_failed(scheduler, replica, reason);
        return;
    }
    log_error("replica %s failed: %s", replica->name, reason);
    scheduler_lose_connection(scheduler, replica, false, reason);
}

void scheduler_failed(struct scheduler *scheduler, void *connection, const char *reason)
{
    scheduler_lock(scheduler);
    struct replica *replica = scheduler_replica_of_connection(scheduler, connection);
    if (replica) {
        replica->is_refused = false;
        fail_replica(scheduler, replica, reason);
    }
    scheduler_unlock(scheduler);
}

void scheduler_refused(struct scheduler *scheduler, void *connection, const char *reason)
{
    scheduler_lock(scheduler);
    struct replica *replica = scheduler_replica_of_connection(scheduler, connection);
    if (replica) {
        replica->is_refused = !replica->supervised; /* ours: nobody else will come in its place */
        replica->spoke = true;
        set_failed(scheduler, replica, reason);
    }
    scheduler_unlock(scheduler);
}

static void explain(struct scheduler *scheduler, struct replica *replica, const char *reason)
{
    replica->spoke = true;
    if (has_not_started(replica)) {
        set_failed(scheduler, replica, reason);
        return;
    }
    set_error(replica, reason);
    log_error("replica %s failed: %s", replica->name, reason);
}

void scheduler_explain(struct scheduler *scheduler, const char *name, const char *launch, const char *reason)
{
    scheduler_lock(scheduler);
    struct replica *replica = replica_set_find(&scheduler->replicas, name);
    if (replica && replica->operations && !is_launch_of(replica, launch))
        log_warning("somebody who is none of its ranks says that replica %s fails; nobody listens", name);
    else if (replica && replica->operations && !replica->spoke)
        explain(scheduler, replica, reason);
    scheduler_unlock(scheduler);
}

/* The run has taken its last step. Its request ends if the rule now has the answer. */
static void finish_run(struct scheduler *scheduler, struct run *run, const struct replica *replica)
{
    const struct ending ending = {.status = STATUS_OK, .replica = replica->name, .n_ranks = replica->n_ranks};
    scheduler_take_off(scheduler, run);
    const struct run *answer = run->request->rule->answer(run->request, run);
    if (answer)
        scheduler_end_request(scheduler, answer, &ending);
}

static void note_times(struct scheduler *scheduler, struct run *run, const struct step_report *report)
{
    double now = clock_seconds();
    if (!run->began_at)
        run->began_at = fmax(run->accepted_at, now - report->step_ms * 1e-3);
    if (run->first_frame_at)
        return;
    run->first_frame_at = now;
    scheduler_tell(scheduler, (struct scheduler_event){.kind = EVENT_FIRST_FRAME, .run = run});
}

/* Notes once for each step of the replica how long it took and, while a run waits, how full it was. */
static void note_step(struct scheduler *scheduler, struct replica *replica, const struct step_report *report)
{
    bool is_new = report->batch_step != replica->batch_step;
    if (!report->batch_step || !is_new || report->batch_tokens > replica->capacity.max_tokens)
        return;
    replica->batch_step = report->batch_step;
    cost_model_add(&replica->cost, (double)report->batch_tokens, report->step_ms * 1e-3);
    scheduler->measured_at = clock_seconds();
    replica_set_update(&scheduler->replicas, replica);
    if (!queue_first(&scheduler->queue) || replica->state != REPLICA_READY)
        return;
    scheduler->totals.full_tokens += (uint64_t)report->batch_tokens;
    scheduler->totals.full_capacity += (uint64_t)replica->capacity.max_tokens;
}

/* Queues the run's new frame for the client. After the last frame the run ends. */
static void send_frame(struct scheduler *scheduler, struct replica *replica, struct run *run,
                       const struct step_report *report)
{
    struct error error;
    if (delivery_frame(&scheduler->claimed, run, report, &error) != STATUS_OK)
        scheduler_fail_request(scheduler, run, error.status, error.text);
    else if (report->done)
        finish_run(scheduler, run, replica);
}

static enum status advance(struct scheduler *scheduler, struct replica *replica, struct run *run,
                           const struct step_report *report, struct error *error)
{
    bool was_suspect = run_is_suspect(run);
    int64_t room = replica_set_room(&scheduler->replicas, replica);
    enum status status = run_advance(run, report, scheduler->options.n_ids, error);
    if (status != STATUS_OK)
        return status;
    replica->steps++;
    replica->n_fruitless = 0;
    scheduler->n_suspects -= was_suspect;
    if (run->replica)
        replica_set_step_run(&scheduler->replicas, replica, run);
    else
        queue_step(&scheduler->queue, run);
    note_step(scheduler, replica, report);
    note_times(scheduler, run, report);
    scheduler_tell(scheduler, (struct scheduler_event){.kind = EVENT_STEP,
                                                       .run = run,
                                                       .replica = replica,
                                                       .step_seconds = report->step_ms * 1e-3,
                                                       .n_changed = report->n_changed});
    send_frame(scheduler, replica, run, report);
    if (replica_set_room(&scheduler->replicas, replica) > room || was_suspect || scheduler->n_suspects)
        scheduler_dispatch(scheduler);
    return STATUS_OK;
}

enum status scheduler_report(struct scheduler *scheduler, void *connection, const struct step_report *report,
                             struct error *error)
{
    enum status status = STATUS_OK;
    scheduler_lock(scheduler);
    struct replica *replica = scheduler_replica_of_connection(scheduler, connection);
    struct run *run = replica ? reported_by(scheduler, replica, report->ticket) : NULL;
    if (run)
        status = advance(scheduler, replica, run, report, error);
    scheduler_unlock(scheduler);
    return status;
}

/* A replica may report any status. CANCELLED does not count: only a client cancels. */
static bool is_failure(enum status status)
{
    return status > STATUS_CANCELLED && status <= STATUS_UNAUTHENTICATED;
}

/* UNAVAILABLE means that the replica leaves: it gets no more runs, and the run goes back to the queue,
 * because the request is not at fault. With another status the request fails. */
static void reject(struct scheduler *scheduler, struct replica *replica, struct run *run, enum status status,
                   const char *reason)
{
    if (status != STATUS_UNAVAILABLE) {
        scheduler_take_off(scheduler, run);
        scheduler_fail_request(scheduler, run, status, reason);
        return;
    }
    replica_set_state(&scheduler->replicas, replica, REPLICA_DRAINING);
    scheduler_put_back(scheduler, run, EVENT_MOVED);
    scheduler_note_change(scheduler);
}

void scheduler_rejected(struct scheduler *scheduler, void *connection, uint64_t ticket, enum status status,
                        const char *reason)
{
    scheduler_lock(scheduler);
    struct replica *replica = scheduler_replica_of_connection(scheduler, connection);
    struct run *run = replica ? running_on(scheduler, replica, ticket) : NULL;
    if (run) {
        reject(scheduler, replica, run, is_failure(status) ? status : STATUS_INTERNAL, reason);
        scheduler_dispatch(scheduler);
    }
    scheduler_unlock(scheduler);
}

/* A replica that somebody else started is forgotten if it left cleanly. If it was lost, we expect it back for
 * a while. A replica that we start ourselves is always expected back. */
static void forget_or_expect(struct scheduler *scheduler, struct replica *replica, bool clean,
                             const char *reason)
{
    if (clean && !replica->supervised && replica->state != REPLICA_FAILED) {
        forget(scheduler, replica);
        return;
    }
    replica->lost_at = clock_seconds();
    if (replica->state == REPLICA_FAILED)
        return;
    replica_set_state(&scheduler->replicas, replica,
                      replica->n_fruitless < REPLICA_FRUITLESS_MAX ? REPLICA_STARTING : REPLICA_FAILED);
    if (!clean)
        set_error(replica, reason);
}

void scheduler_lose_connection(struct scheduler *scheduler, struct replica *replica, bool clean,
                               const char *reason)
{
    log_info("replica %s is gone%s%s; %d of its sequences go back to the queue", replica->name,
             clean ? "" : ": ", clean ? "" : reason, replica->running.n);
    replica_set_disconnect(&scheduler->replicas, replica);
    replica->n_fruitless += !clean && replica->running.n && !replica->steps;
    scheduler_put_back_all(scheduler, replica, clean ? NULL : reason);
    forget_or_expect(scheduler, replica, clean, reason);
    scheduler_dispatch(scheduler);
    scheduler_fail_without_hope(scheduler);
    scheduler_note_change(scheduler);
}

void scheduler_detach(struct scheduler *scheduler, void *connection, bool clean, const char *reason)
{
    char explained[sizeof(((struct replica *)0)->last_error)];
    scheduler_lock(scheduler);
    struct replica *replica = scheduler_replica_of_connection(scheduler, connection);
    if (replica && !clean && replica->spoke) { /* it said before why its stream would break */
        memcpy(explained, replica->last_error, sizeof explained);
        reason = explained;
    }
    if (replica)
        scheduler_lose_connection(scheduler, replica, clean, reason);
    scheduler_unlock(scheduler);
}

/* ---- those that do not come back ---- */

/* Fails the requests that waited for the last known replica, which is not expected back. (Requests that come
 * later wait for any replica that comes.) */
static void end_waiting(struct scheduler *scheduler, const char *reason)
{
    struct run *waiting;
    while ((waiting = queue_first(&scheduler->queue)))
        scheduler_fail_request(scheduler, waiting, STATUS_UNAVAILABLE, reason);
}

static void forget_lost(struct scheduler *scheduler, struct replica *replica, const char *why)
{
    struct error error;
    log_info("replica %s is forgotten: %s", replica->name, why);
    error_set(&error, STATUS_UNAVAILABLE, "no replica is left: %s is forgotten, %s (%s)", replica->name, why,
              replica->last_error);
    bool was_refused = replica->is_refused;
    forget(scheduler, replica);
    if (scheduler->replicas.first)
        scheduler_fail_without_hope(scheduler);
    else if (!was_refused)
        end_waiting(scheduler, error.text);
    scheduler_note_change(scheduler);
}

bool scheduler_forget(struct scheduler *scheduler, const char *name)
{
    scheduler_lock(scheduler);
    struct replica *replica = replica_set_find(&scheduler->replicas, name);
    bool is_lost = replica && scheduler_is_lost_outsider(replica);
    if (is_lost)
        forget_lost(scheduler, replica, "it was lost, and is drained");
    scheduler_unlock(scheduler);
    return is_lost;
}

void scheduler_forget_long_lost(struct scheduler *scheduler, double now)
{
    for (struct replica *replica = scheduler->replicas.first, *next; replica; replica = next) {
        next = replica->next;
        if (scheduler_is_lost_outsider(replica) && now - replica->lost_at >= SCHEDULER_MEMORY_SECONDS)
            forget_lost(scheduler, replica, "it was lost long ago");
    }
}

/* ---- for the supervision, which starts replicas ---- */

void scheduler_expect(struct scheduler *scheduler, const char *name)
{
    scheduler_lock(scheduler);
    struct replica *replica = replica_set_get(&scheduler->replicas, name);
    if (replica)
        replica->supervised = true;
    scheduler_unlock(scheduler);
}

void scheduler_launching(struct scheduler *scheduler, const char *name, const char *launch)
{
    static const char reason[] = "this coordinator starts a replica of that name itself";
    scheduler_lock(scheduler);
    struct replica *replica = replica_set_find(&scheduler->replicas, name);
    if (replica) {
        if (replica->operations) {
            replica->operations->hang_up(replica->connection, STATUS_FAILED_PRECONDITION, reason);
            scheduler_lose_connection(scheduler, replica, false, reason);
        }
        set_launch(replica, launch);
    }
    scheduler_unlock(scheduler);
}

bool scheduler_restarting(struct scheduler *scheduler, const char *name, const char *reason, int *n_fruitless)
{
    bool was_ready = false;
    *n_fruitless = 0;
    scheduler_lock(scheduler);
    struct replica *replica = replica_set_find(&scheduler->replicas, name);
    if (replica) {
        was_ready = replica->was_ready;
        replica->was_ready = false;
        *n_fruitless = replica->n_fruitless;
        if (replica->state != REPLICA_FAILED && !replica->spoke) /* the replica's own reason says more */
            set_error(replica, reason);
        replica->spoke = false;
    }
    scheduler_unlock(scheduler);
    return was_ready;
}

void scheduler_give_up(struct scheduler *scheduler, const char *name, const char *reason)
{
    scheduler_lock(scheduler);
    struct replica *replica = replica_set_find(&scheduler->replicas, name);
    if (replica && replica->state != REPLICA_FAILED) {
        char known[sizeof replica->last_error];
        memcpy(known, replica->last_error, sizeof known);
        set_failed(scheduler, replica, reason ? reason : known);
    }
    scheduler_unlock(scheduler);
}

/* ---- when we leave ---- */

void scheduler_drain_supervised(struct scheduler *scheduler)
{
    scheduler_lock(scheduler);
    for (struct replica *replica = scheduler->replicas.first; replica; replica = replica->next) {
        if (!replica->operations || !replica->supervised)
            continue;
        replica_set_state(&scheduler->replicas, replica, REPLICA_DRAINING);
        replica->operations->drain(replica->connection);
    }
    scheduler_unlock(scheduler);
}

void scheduler_hang_up_all(struct scheduler *scheduler, const char *reason)
{
    scheduler_lock(scheduler);
    for (struct replica *replica = scheduler->replicas.first; replica; replica = replica->next)
        if (replica->operations)
            replica->operations->hang_up(replica->connection, STATUS_UNAVAILABLE, reason);
    scheduler_unlock(scheduler);
}
