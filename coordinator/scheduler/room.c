#include "coordinator/scheduler/room.h"

#include <string.h>

static void count(struct room *room, const struct room_entry *entry, int sign)
{
    room->n += sign;
    room->n_tokens += sign * entry->length;
    room->work += sign * (double)entry->length * (double)entry->leaves_in;
}

void room_insert(struct room *room, struct room_entry entry)
{
    int at = room->n;
    while (at > 0 && room->entries[at - 1].leaves_in > entry.leaves_in) {
        room->entries[at] = room->entries[at - 1];
        at--;
    }
    room->entries[at] = entry;
    count(room, &entry, 1);
}

struct room_entry room_remove(struct room *room, int index)
{
    struct room_entry removed = room->entries[index];
    count(room, &removed, -1);
    memmove(&room->entries[index], &room->entries[index + 1],
            (size_t)(room->n - index) * sizeof *room->entries);
    return removed;
}

int room_find(const struct room *room, uint64_t number)
{
    int index = 0;
    while (room->entries[index].number != number)
        index++;
    return index;
}

uint32_t room_start_in(const struct room *room, int length)
{
    const struct policy_replica *replica = room->replica;
    int64_t n_tokens = room->n_tokens + length;
    int n = room->n + 1;
    uint32_t steps = 0;
    for (int i = 0; n > replica->max_sequences || n_tokens > replica->max_tokens; i++) {
        if (i == room->n)
            return ROOM_NEVER;
        n_tokens -= room->entries[i].length;
        n--;
        steps = room->entries[i].leaves_in;
    }
    return steps;
}

bool room_takes(const struct room *room, int length)
{
    const struct policy_replica *replica = room->replica;
    return replica->open && room->n < replica->max_sequences + replica->held_sequences &&
           room->n_tokens + length <= replica->max_tokens + replica->held_tokens &&
           room_start_in(room, length) <= replica->ahead_steps;
}
