#include "coordinator/scheduler/replica_set.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- finding ---- */

static bool has_name(const struct hash_node *node, const void *name)
{
    return !strcmp(((const struct replica *)node)->name, name);
}

static struct replica *replica_of_connection(const struct hash_node *node)
{
    return (struct replica *)((char *)node - offsetof(struct replica, by_connection));
}

static bool has_connection(const struct hash_node *node, const void *connection)
{
    return replica_of_connection(node)->connection == connection;
}

static uint64_t hash_connection(const void *connection)
{
    return hash_number((uint64_t)(uintptr_t)connection);
}

struct replica *replica_set_find(const struct replica_set *set, const char *name)
{
    return (struct replica *)hash_table_find(&set->by_name, hash_string(name), has_name, name);
}

struct replica *replica_set_find_connection(const struct replica_set *set, const void *connection)
{
    struct hash_node *node =
        hash_table_find(&set->by_connection, hash_connection(connection), has_connection, connection);
    return node ? replica_of_connection(node) : NULL;
}

/* ---- coming and going ---- */

static bool grow_table(void *table, int capacity, size_t size)
{
    void *grown = realloc(*(void **)table, (size_t)capacity * size);
    if (grown)
        *(void **)table = grown;
    return grown;
}

static bool reserve_one(struct replica_set *set)
{
    int capacity = set->capacity ? 2 * set->capacity : 8;
    if (set->n < set->capacity)
        return true;
    if (!grow_table(&set->replicas, capacity, sizeof *set->replicas) ||
        !grow_table(&set->places, capacity, sizeof *set->places) ||
        !grow_table(&set->paces, capacity, sizeof *set->paces))
        return false;
    set->capacity = capacity;
    return true;
}

static void append(struct replica_set *set, struct replica *replica)
{
    replica->index = set->n++;
    *(set->last ? &set->last->next : &set->first) = replica;
    set->last = replica;
    set->replicas[replica->index] = replica;
    set->places[replica->index] = (struct policy_replica){0};
    set->paces[replica->index] = (struct replica_pace){0};
    set->n_in_state[replica->state]++;
}

struct replica *replica_set_get(struct replica_set *set, const char *name)
{
    struct replica *replica = replica_set_find(set, name);
    if (replica || !reserve_one(set))
        return replica;
    replica = calloc(1, sizeof *replica);
    if (!replica || !hash_table_add(&set->by_name, &replica->by_name, hash_string(name))) {
        free(replica);
        return NULL;
    }
    snprintf(replica->name, sizeof replica->name, "%s", name);
    replica->number = ++set->last_number;
    append(set, replica);
    return replica;
}

/* The tables keep the order, because the first replica wins a tie. */
static void take_out_of_tables(struct replica_set *set, int index)
{
    size_t n_behind = (size_t)(--set->n - index);
    memmove(&set->replicas[index], &set->replicas[index + 1], n_behind * sizeof *set->replicas);
    memmove(&set->places[index], &set->places[index + 1], n_behind * sizeof *set->places);
    memmove(&set->paces[index], &set->paces[index + 1], n_behind * sizeof *set->paces);
    for (int i = index; i < set->n; i++)
        set->replicas[i]->index = i;
}

void replica_set_remove(struct replica_set *set, struct replica *replica)
{
    struct replica *previous = replica->index ? set->replicas[replica->index - 1] : NULL;
    replica_set_state(set, replica, REPLICA_STARTING); /* so that it counts in no sum of the set */
    set->n_in_state[REPLICA_STARTING]--;
    *(previous ? &previous->next : &set->first) = replica->next;
    if (set->last == replica)
        set->last = previous;
    occupancy_release(&set->places[replica->index].occupancy);
    take_out_of_tables(set, replica->index);
    hash_table_remove(&set->by_name, &replica->by_name);
    if (replica->connection)
        hash_table_remove(&set->by_connection, &replica->by_connection);
    free(replica);
}

void replica_set_free(struct replica_set *set)
{
    while (set->last)
        replica_set_remove(set, set->last);
    hash_table_release(&set->by_name);
    hash_table_release(&set->by_connection);
    free(set->replicas);
    free(set->places);
    free(set->paces);
}

bool replica_set_connect(struct replica_set *set, struct replica *replica,
                         const struct replica_connection *operations, void *connection)
{
    if (!hash_table_add(&set->by_connection, &replica->by_connection, hash_connection(connection)))
        return false;
    replica->operations = operations;
    replica->connection = connection;
    return true;
}

void replica_set_disconnect(struct replica_set *set, struct replica *replica)
{
    if (replica->connection)
        hash_table_remove(&set->by_connection, &replica->by_connection);
    replica->operations = NULL;
    replica->connection = NULL;
}

/* ---- the tables ---- */

static double rate_at(const struct cost_line *line, double max_tokens, double tokens)
{
    double seconds = cost_line_seconds(line, tokens);
    return seconds > 0 ? max_tokens / seconds : 0;
}

static void set_pace(struct replica_pace *pace, const struct replica *replica)
{
    const struct cost_model *cost = &replica->cost;
    double max_tokens = (double)replica->capacity.max_tokens;
    bool is_measured = replica->state == REPLICA_READY && cost->weight > 0;
    *pace = (struct replica_pace){.is_measured = is_measured,
                                  .line = cost_model_line(cost),
                                  .most_tokens = cost->most_tokens,
                                  .max_tokens = max_tokens};
    if (!is_measured)
        return;
    pace->rate = rate_at(&pace->line, max_tokens, max_tokens);
    pace->least_rate =
        rate_at(&pace->line, max_tokens, max_tokens < cost->most_tokens ? max_tokens : cost->most_tokens);
}

static bool counts_as_unmeasured(const struct policy_replica *place)
{
    return place->open && !(place->slowness > 0);
}

static void set_place(struct replica_set *set, const struct replica *replica)
{
    struct policy_replica *place = &set->places[replica->index];
    const struct replica_pace *pace = &set->paces[replica->index];
    const struct replica_capacity *capacity = &replica->capacity;
    const struct occupancy_limits limits = {.max_sequences = capacity->max_sequences,
                                            .held_sequences = capacity->held_sequences,
                                            .max_tokens = capacity->max_tokens,
                                            .held_tokens = capacity->held_tokens,
                                            .ahead_steps = replica_ahead_steps(replica)};
    set->n_unmeasured -= counts_as_unmeasured(place);
    place->open = replica->state == REPLICA_READY && !replica->is_closed;
    place->slowness = cost_line_seconds(&pace->line, pace->max_tokens) / pace->max_tokens;
    occupancy_set_limits(&place->occupancy, &limits);
    set->n_unmeasured += counts_as_unmeasured(place);
}

static void find_longest(struct replica_set *set)
{
    set->longest = 0;
    for (const struct replica *replica = set->first; replica; replica = replica->next) {
        if (replica->state == REPLICA_READY && replica->capacity.max_tokens > set->longest)
            set->longest = replica->capacity.max_tokens;
    }
}

void replica_set_update(struct replica_set *set, struct replica *replica)
{
    set_pace(&set->paces[replica->index], replica);
    set_place(set, replica);
}

void replica_set_state(struct replica_set *set, struct replica *replica, enum replica_state state)
{
    set->n_in_state[replica->state]--;
    replica->state = state;
    set->n_in_state[state]++;
    replica_set_update(set, replica);
    find_longest(set);
}

/* ---- runs ---- */

static struct occupancy *occupancy_of(struct replica_set *set, const struct replica *replica)
{
    return &set->places[replica->index].occupancy;
}

bool replica_set_reserve_run(struct replica_set *set, const struct replica *replica)
{
    return occupancy_reserve(occupancy_of(set, replica));
}

void replica_set_add_run(struct replica_set *set, struct replica *replica, struct run *run)
{
    run->replica = replica;
    run->place = (struct run_place){.number = run->number,
                                    .class = run->class,
                                    .length = run->length,
                                    .steps_left = run_steps_left(run),
                                    .accepted_at = run->accepted_at};
    run_list_append(&replica->running, run);
    occupancy_add(occupancy_of(set, replica), &run->place);
    set->running_tokens += run->length;
}

void replica_set_step_run(struct replica_set *set, struct replica *replica, struct run *run)
{
    replica->running.work -= run->length;
    occupancy_step(occupancy_of(set, replica), &run->place);
}

void replica_set_remove_run(struct replica_set *set, struct replica *replica, struct run *run)
{
    run_list_remove(run);
    occupancy_remove(occupancy_of(set, replica), &run->place);
    set->running_tokens -= run->length;
}

/* ---- of all ---- */

int64_t replica_set_room(const struct replica_set *set, const struct replica *replica)
{
    return set->places[replica->index].occupancy.longest;
}

int64_t replica_set_longest(const struct replica_set *set)
{
    return replica_set_any(set, REPLICA_READY) ? set->longest : -1;
}

bool replica_set_any(const struct replica_set *set, enum replica_state state)
{
    return set->n_in_state[state] > 0;
}
