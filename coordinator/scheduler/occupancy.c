#include "coordinator/scheduler/occupancy.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void occupancy_release(struct occupancy *occupancy)
{
    free(occupancy->groups);
    *occupancy = (struct occupancy){0};
}

/* ---- the sums ---- */

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Call it after every change of the sums. */
static void set_longest(struct occupancy *occupancy)
{
    const struct occupancy_limits *limits = &occupancy->limits;
    int n = occupancy->n;
    if (n >= limits->max_sequences + limits->held_sequences || n - occupancy->n_soon >= limits->max_sequences)
        occupancy->longest = 0;
    else
        occupancy->longest = least(limits->max_tokens + limits->held_tokens - occupancy->n_tokens,
                                   limits->max_tokens - occupancy->n_tokens + occupancy->soon_tokens);
}

void occupancy_set_limits(struct occupancy *occupancy, const struct occupancy_limits *limits)
{
    occupancy->limits = *limits;
    occupancy->n_soon = 0;
    occupancy->soon_tokens = 0;
    for (int i = 0; i < occupancy->n_groups && occupancy->groups[i].steps_left <= limits->ahead_steps; i++) {
        occupancy->n_soon += occupancy->groups[i].n;
        occupancy->soon_tokens += occupancy->groups[i].n_tokens;
    }
    set_longest(occupancy);
}

/* ---- groups ---- */

bool occupancy_reserve(struct occupancy *occupancy)
{
    if (occupancy->n < occupancy->groups_capacity) /* there are never more groups than runs */
        return true;
    int capacity = occupancy->groups_capacity ? 2 * occupancy->groups_capacity : 8;
    struct occupancy_group *groups = realloc(occupancy->groups, (size_t)capacity * sizeof *groups);
    if (!groups)
        return false;
    occupancy->groups = groups;
    occupancy->groups_capacity = capacity;
    return true;
}

/* The index of the first group with at least so many steps left. */
static int find_group(const struct occupancy *occupancy, uint32_t steps_left)
{
    int from = 0, to = occupancy->n_groups;
    while (from < to) {
        int middle = (from + to) / 2;
        if (occupancy->groups[middle].steps_left < steps_left)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static bool is_group_of(const struct occupancy *occupancy, int index, uint32_t steps_left)
{
    return index < occupancy->n_groups && occupancy->groups[index].steps_left == steps_left;
}

static void open_group(struct occupancy *occupancy, int index, uint32_t steps_left)
{
    struct occupancy_group *group = &occupancy->groups[index];
    assert(occupancy->n_groups < occupancy->groups_capacity);
    memmove(group + 1, group, (size_t)(occupancy->n_groups - index) * sizeof *group);
    *group = (struct occupancy_group){.steps_left = steps_left};
    occupancy->n_groups++;
}

static void close_group(struct occupancy *occupancy, int index)
{
    struct occupancy_group *group = &occupancy->groups[index];
    occupancy->n_groups--;
    memmove(group, group + 1, (size_t)(occupancy->n_groups - index) * sizeof *group);
}

static void count_in_group(struct occupancy *occupancy, int length, uint32_t steps_left, int sign)
{
    int index = find_group(occupancy, steps_left);
    if (!is_group_of(occupancy, index, steps_left))
        open_group(occupancy, index, steps_left);
    struct occupancy_group *group = &occupancy->groups[index];
    group->n += sign;
    group->n_tokens += sign * length;
    if (!group->n)
        close_group(occupancy, index);
}

void occupancy_count(struct occupancy *occupancy, int length, uint32_t steps_left, int sign)
{
    bool is_soon = steps_left <= occupancy->limits.ahead_steps;
    count_in_group(occupancy, length, steps_left, sign);
    occupancy->n += sign;
    occupancy->n_tokens += sign * length;
    occupancy->work += sign * (int64_t)length * steps_left;
    occupancy->n_soon += is_soon ? sign : 0;
    occupancy->soon_tokens += is_soon ? sign * length : 0;
    set_longest(occupancy);
}

/* ---- runs ---- */

/* Most runs that come are the youngest of their class, so the search begins there. */
static void link_place(struct occupancy_class *class, struct run_place *place)
{
    struct run_place *older = class->youngest;
    while (older && older->number > place->number)
        older = older->older;
    place->older = older;
    place->younger = older ? older->younger : class->oldest;
    *(place->older ? &place->older->younger : &class->oldest) = place;
    *(place->younger ? &place->younger->older : &class->youngest) = place;
    class->n++;
    class->n_tokens += place->length;
}

static void unlink_place(struct occupancy_class *class, struct run_place *place)
{
    *(place->older ? &place->older->younger : &class->oldest) = place->younger;
    *(place->younger ? &place->younger->older : &class->youngest) = place->older;
    place->older = place->younger = NULL;
    class->n--;
    class->n_tokens -= place->length;
}

void occupancy_add(struct occupancy *occupancy, struct run_place *place)
{
    occupancy_count(occupancy, place->length, place->steps_left, 1);
    link_place(&occupancy->by_class[place->class], place);
}

void occupancy_remove(struct occupancy *occupancy, struct run_place *place)
{
    occupancy_count(occupancy, place->length, place->steps_left, -1);
    unlink_place(&occupancy->by_class[place->class], place);
}

void occupancy_step(struct occupancy *occupancy, struct run_place *place)
{
    occupancy_count(occupancy, place->length, place->steps_left, -1);
    place->steps_left--;
    occupancy_count(occupancy, place->length, place->steps_left, 1);
}

/* ---- when a run fits ---- */

/* In how many steps the n runs of n_tokens, newcomer included, are within the limits. They leave group by
 * group; the newcomer is in none. */
static uint32_t start_in(const struct occupancy_limits *limits, const struct occupancy_group *groups,
                         int n_groups, int n, int64_t n_tokens, uint32_t limit)
{
    uint32_t steps = 0;
    for (int i = 0; n > limits->max_sequences || n_tokens > limits->max_tokens; i++) {
        if (i == n_groups || groups[i].steps_left >= limit)
            return OCCUPANCY_NEVER;
        n_tokens -= groups[i].n_tokens;
        n -= groups[i].n;
        steps = groups[i].steps_left;
    }
    return steps;
}

uint32_t occupancy_start_in(const struct occupancy *occupancy, int length, uint32_t limit)
{
    return start_in(&occupancy->limits, occupancy->groups, occupancy->n_groups, occupancy->n + 1,
                    occupancy->n_tokens + length, limit);
}

/* The runs that give way. The due runs of a class are its oldest. */
struct yielding {
    int n;
    int64_t n_tokens;
};

static struct yielding sum_yielding(const struct occupancy *occupancy, enum request_class class,
                                    double due_at)
{
    struct yielding sum = {0};
    for (int c = (int)class + 1; c < CLASS_COUNT; c++) {
        const struct occupancy_class *lower = &occupancy->by_class[c];
        sum.n += lower->n;
        sum.n_tokens += lower->n_tokens;
        const struct run_place *due = lower->oldest;
        for (; due && due->accepted_at <= due_at; due = due->younger) {
            sum.n--;
            sum.n_tokens -= due->length;
        }
    }
    return sum;
}

/* Takes the runs that give way out of a copy of the groups. */
static void leave_out_yielding(const struct occupancy *occupancy, struct occupancy_group *groups,
                               enum request_class class, double due_at)
{
    for (int c = (int)class + 1; c < CLASS_COUNT; c++) {
        const struct run_place *place = occupancy->by_class[c].youngest;
        for (; place && place->accepted_at > due_at; place = place->older) {
            struct occupancy_group *group = &groups[find_group(occupancy, place->steps_left)];
            group->n--;
            group->n_tokens -= place->length;
        }
    }
}

uint32_t occupancy_start_above(const struct occupancy *occupancy, int length, enum request_class class,
                               double due_at)
{
    const struct occupancy_limits *limits = &occupancy->limits;
    struct yielding yielding = sum_yielding(occupancy, class, due_at);
    int n = occupancy->n - yielding.n + 1;
    int64_t n_tokens = occupancy->n_tokens - yielding.n_tokens + length;
    if (!yielding.n || (n <= limits->max_sequences && n_tokens <= limits->max_tokens))
        return start_in(limits, occupancy->groups, occupancy->n_groups, n, n_tokens, OCCUPANCY_NEVER);
    size_t size = (size_t)occupancy->n_groups * sizeof *occupancy->groups;
    struct occupancy_group *groups = malloc(size);
    if (!groups)
        return OCCUPANCY_NEVER;
    memcpy(groups, occupancy->groups, size);
    leave_out_yielding(occupancy, groups, class, due_at);
    uint32_t steps = start_in(limits, groups, occupancy->n_groups, n, n_tokens, OCCUPANCY_NEVER);
    free(groups);
    return steps;
}
