#include "coordinator/scheduler/occupancy.h"

#include <string.h>

static void count(struct occupancy *occupancy, const struct occupancy_entry *entry, int sign)
{
    occupancy->n += sign;
    occupancy->n_tokens += sign * entry->length;
    occupancy->work += sign * (double)entry->length * (double)entry->leaves_in;
}

void occupancy_insert(struct occupancy *occupancy, struct occupancy_entry entry)
{
    int at = occupancy->n;
    while (at > 0 && occupancy->entries[at - 1].leaves_in > entry.leaves_in) {
        occupancy->entries[at] = occupancy->entries[at - 1];
        at--;
    }
    occupancy->entries[at] = entry;
    count(occupancy, &entry, 1);
}

struct occupancy_entry occupancy_remove(struct occupancy *occupancy, int index)
{
    struct occupancy_entry removed = occupancy->entries[index];
    count(occupancy, &removed, -1);
    memmove(&occupancy->entries[index], &occupancy->entries[index + 1],
            (size_t)(occupancy->n - index) * sizeof *occupancy->entries);
    return removed;
}

int occupancy_find(const struct occupancy *occupancy, uint64_t number)
{
    int index = 0;
    while (occupancy->entries[index].number != number)
        index++;
    return index;
}

uint32_t occupancy_start_in(const struct occupancy *occupancy, int length)
{
    const struct policy_replica *replica = occupancy->replica;
    int64_t n_tokens = occupancy->n_tokens + length;
    int n = occupancy->n + 1;
    uint32_t steps = 0;
    for (int i = 0; n > replica->max_sequences || n_tokens > replica->max_tokens; i++) {
        if (i == occupancy->n)
            return OCCUPANCY_NEVER;
        n_tokens -= occupancy->entries[i].length;
        n--;
        steps = occupancy->entries[i].leaves_in;
    }
    return steps;
}

bool occupancy_takes(const struct occupancy *occupancy, int length)
{
    const struct policy_replica *replica = occupancy->replica;
    return replica->open && occupancy->n < replica->max_sequences + replica->held_sequences &&
           occupancy->n_tokens + length <= replica->max_tokens + replica->held_tokens &&
           occupancy_start_in(occupancy, length) <= replica->ahead_steps;
}
