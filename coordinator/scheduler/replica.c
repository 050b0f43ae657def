#include "coordinator/scheduler/replica.h"

#include <math.h>
#include <string.h>

enum { AHEAD_STEPS_MOST = 8 };

/* The time from the end of a step on the replica until it gets what we send because of that step. */
#define ROUND_TRIP_SECONDS 0.01

bool replica_name_is_valid(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t size = strlen(name);
    return size > 0 && size <= REPLICA_NAME_MAX && strspn(name, allowed) == size;
}

uint32_t replica_ahead_steps(const struct replica *replica)
{
    double step_seconds = cost_model_mean_seconds(&replica->cost);
    if (!replica->capacity.held_sequences)
        return 0;
    double trip_steps = step_seconds > 0 ? ceil(ROUND_TRIP_SECONDS / step_seconds) : 1;
    return (uint32_t)fmin(fmax(trip_steps, 1) + replica->capacity.run_ahead_steps, AHEAD_STEPS_MOST);
}

const char *replica_state_name(enum replica_state state)
{
    static const char *const names[] = {"starting", "ready", "draining", "failed", "drained"};
    return names[state];
}

bool replica_can_run(const struct replica *replica, int length)
{
    return replica->state == REPLICA_READY && replica->capacity.max_tokens >= length;
}
