#include "coordinator/scheduler/replica.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool replica_name_is_valid(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t size = strlen(name);
    return size > 0 && size <= REPLICA_NAME_MAX && strspn(name, allowed) == size;
}

struct replica *replica_set_find(const struct replica_set *set, const char *name)
{
    struct replica *replica = set->first;
    while (replica && strcmp(replica->name, name))
        replica = replica->next;
    return replica;
}

struct replica *replica_set_get(struct replica_set *set, const char *name)
{
    struct replica *replica = replica_set_find(set, name), **link = &set->first;
    if (replica)
        return replica;
    replica = calloc(1, sizeof *replica);
    if (!replica)
        return NULL;
    snprintf(replica->name, sizeof replica->name, "%s", name);
    while (*link) /* in the order in which they came */
        link = &(*link)->next;
    *link = replica;
    return replica;
}

void replica_set_remove(struct replica_set *set, struct replica *replica)
{
    struct replica **link = &set->first;
    while (*link != replica)
        link = &(*link)->next;
    *link = replica->next;
    free(replica);
}

void replica_set_free(struct replica_set *set)
{
    while (set->first)
        replica_set_remove(set, set->first);
}

int64_t replica_set_longest(const struct replica_set *set)
{
    int64_t longest = -1;
    for (const struct replica *replica = set->first; replica; replica = replica->next) {
        if (replica->state == REPLICA_READY && replica->capacity.max_tokens > longest)
            longest = replica->capacity.max_tokens;
    }
    return longest;
}

bool replica_set_any(const struct replica_set *set, enum replica_state state)
{
    for (const struct replica *replica = set->first; replica; replica = replica->next) {
        if (replica->state == state)
            return true;
    }
    return false;
}

const char *replica_state_name(enum replica_state state)
{
    static const char *const names[] = {"starting", "ready", "draining", "failed", "drained"};
    return names[state];
}
