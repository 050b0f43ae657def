/* How replicas are drained: they leave because an operator or their host asks for it. */
#include "coordinator/scheduler/scheduler_state.h"

#include <stdio.h>

#include "common/log.h"

static void begin_draining(struct scheduler *scheduler, struct replica *replica)
{
    log_info("replica %s drains; it runs %d sequences", replica->name, replica->running.n);
    replica_set_state(&scheduler->replicas, replica, REPLICA_DRAINING);
    replica->was_drained = true;
    replica->operations->drain(replica->connection);
    scheduler_decide(scheduler); /* its runs move, as far as other replicas have room */
    scheduler_note_change(scheduler);
}

void scheduler_leaving(struct scheduler *scheduler, void *connection)
{
    scheduler_lock(scheduler);
    struct replica *replica = scheduler_replica_of_connection(scheduler, connection);
    if (replica && replica->state == REPLICA_READY)
        begin_draining(scheduler, replica);
    scheduler_unlock(scheduler);
}

static enum status check_state(const struct replica *replica, const char *name, bool restart,
                               struct error *error)
{
    if (!replica)
        return error_set(error, STATUS_NOT_FOUND, "replica: there is no \"%.80s\"; see millrace status",
                         name);
    if (scheduler_is_lost_outsider(replica))
        return error_set(error, STATUS_NOT_FOUND,
                         "replica: %s is lost, and was not started here: whoever started it has to start it "
                         "again%s%s",
                         replica->name, *replica->last_error ? "; its last error: " : "",
                         replica->last_error);
    bool is_down = replica->state == REPLICA_DRAINED || replica->is_held || /* or it will be down soon */
                   (replica->state == REPLICA_FAILED && replica->supervised);
    if (replica->state == REPLICA_READY || replica->state == REPLICA_DRAINING || (restart && is_down))
        return STATUS_OK;
    return error_set(error, STATUS_FAILED_PRECONDITION, "replica: %s is %s, not ready%s%s", replica->name,
                     replica_state_name(replica->state), *replica->last_error ? ": " : "",
                     replica->last_error);
}

enum status scheduler_drain(struct scheduler *scheduler, const char *name, bool restart, bool *supervised,
                            uint32_t *left, struct error *error)
{
    scheduler_lock(scheduler);
    struct replica *replica = replica_set_find(&scheduler->replicas, name);
    enum status status = check_state(replica, name, restart, error);
    if (status == STATUS_OK) {
        replica->is_held = !restart && replica->supervised;
        if (replica->state == REPLICA_DRAINED)
            replica_set_state(&scheduler->replicas, replica, REPLICA_STARTING);
        if (replica->state == REPLICA_READY)
            begin_draining(scheduler, replica);
        *supervised = replica->supervised;
        *left = (uint32_t)replica->running.n;
        scheduler_note_change(scheduler);
    }
    scheduler_unlock(scheduler);
    return status;
}

bool scheduler_is_supervised(struct scheduler *scheduler, const char *name)
{
    scheduler_lock(scheduler);
    const struct replica *replica = replica_set_find(&scheduler->replicas, name);
    bool is_supervised = replica && replica->supervised;
    scheduler_unlock(scheduler);
    return is_supervised;
}

bool scheduler_is_held(struct scheduler *scheduler, const char *name)
{
    scheduler_lock(scheduler);
    const struct replica *replica = replica_set_find(&scheduler->replicas, name);
    bool is_held = replica && replica->is_held;
    scheduler_unlock(scheduler);
    return is_held;
}

bool scheduler_take_drained(struct scheduler *scheduler, const char *name)
{
    scheduler_lock(scheduler);
    struct replica *replica = replica_set_find(&scheduler->replicas, name);
    bool was_drained = replica && replica->was_drained;
    if (was_drained) {
        replica->was_drained = false;
        replica_set_state(&scheduler->replicas, replica,
                          replica->is_held ? REPLICA_DRAINED : REPLICA_STARTING);
        if (replica->is_held)
            snprintf(replica->last_error, sizeof replica->last_error, "it was drained");
        scheduler_fail_without_hope(scheduler);
        scheduler_note_change(scheduler);
    }
    scheduler_unlock(scheduler);
    return was_drained;
}
